import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { digestOfProgram, recordDeclaration } from "../../stacks/declaration.ts";
import { declarationRecord, type DeclarationRecord } from "../../stacks/declaration-record.ts";
import { register, type Registration } from "../support/engine.ts";
import * as technicia from "../../provider/resources.ts";

const FILE = "technicia:host:File::notice";

interface Given {
  readonly program?: string;
  readonly content?: pulumi.Input<string>;
  readonly secret?: string;
}

/** Runs a program of one file in a stack, as the engine does. */
async function run({ program = "program", content = "hello", secret = "s".repeat(32) }: Given = {}) {
  const recording = await register(
    () =>
      pulumi.runtime.runInPulumiStack(() => {
        recordDeclaration(() => {
          const image = new technicia.Image("image-gateway", { name: "nginx:1" });
          const notice = pulumi.interpolate`${content} of ${image.reference}`;
          new technicia.File("notice", { path: "/etc/notice", content: notice });
        }, program);
        return Promise.resolve({});
      }),
    {
      configuration: {
        values: { "technicia:domain": "a.example", "technicia:n8nEncryptionKey": secret },
        encrypted: ["technicia:n8nEncryptionKey"],
      },
    },
  );
  const { urn } = recording.component("declaration");
  return { record: declarationRecord.parse(recording.componentOutputs[urn]), recording };
}

async function recorded(given: Given = {}): Promise<DeclarationRecord> {
  return (await run(given)).record;
}

describe("the record of the declaration", () => {
  it("has a digest of each resource and the settings, but no secret", async () => {
    const { record, recording } = await run();

    expect(Object.keys(record.digests).sort()).toEqual([FILE, "technicia:host:Image::image-gateway"].sort());
    expect(record.settings).toEqual({ "technicia:domain": "a.example" });
    expect(JSON.stringify(record)).not.toContain("s".repeat(32));
    // As a component it is read by no refresh, which would take what is there for what was declared.
    expect(recording.registrations.find(({ name }: Registration) => name === "declaration")?.custom).toBe(
      false,
    );
  });

  it("is the same for the same program", async () => {
    expect(await recorded()).toEqual(await recorded());
  });

  it("differs for the resource that is declared otherwise, and for no other", async () => {
    const [before, after] = [await recorded(), await recorded({ content: "bye" })];

    expect(after.digests[FILE]).not.toBe(before.digests[FILE]);
    expect({ ...after.digests, [FILE]: before.digests[FILE] }).toEqual(before.digests);
    expect(after.basis).toBe(before.basis);
  });

  it("records the digest of a secret in clear, which tells nothing without the key", async () => {
    const { digests } = await recorded({ content: pulumi.secret("password") });

    expect(digests[FILE]).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([{ program: "another" }, { secret: "t".repeat(32) }])(
    "has another basis with another program or secret: %j",
    async (changed) => {
      expect((await recorded(changed)).basis).not.toBe((await recorded()).basis);
    },
  );
});

describe("the digest of the program", () => {
  const node = {
    id: "1",
    name: "A",
    type: "t",
    typeVersion: 1,
    position: [0, 0] as [number, number],
    parameters: {},
  };
  const workflow = { id: "w", name: "W", tags: [], settings: {}, nodes: [node], connections: {} };
  const credential = (apiKey: string) => ({ id: "c", name: "C", type: "t", data: { apiKey } });
  const of = (name: string, apiKey = "one") =>
    digestOfProgram({ workflows: [{ ...workflow, name }], credentials: [credential(apiKey)] });

  it("changes with a workflow, which is declared as well, and not with the value of a credential", () => {
    expect(of("W")).toBe(of("W", "another"));
    expect(of("W")).not.toBe(of("other"));
    expect(of("W")).not.toBe(digestOfProgram());
  });
});
