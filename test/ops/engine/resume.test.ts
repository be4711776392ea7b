import { describe, expect, it } from "vitest";

import type { PulumiCall } from "../../../ops/engine/cli.ts";
import { type FindRecord, type OnServer, resume } from "../../../ops/engine/resume.ts";

const DOCKER = "urn:pulumi:test::technicia::pulumi:providers:docker::host";
const urn = (type: string, name: string) => `urn:pulumi:test::technicia::${type}::${name}`;

function resource(type: string, name: string, inputs: Record<string, unknown> = { name }) {
  return { urn: urn(type, name), type, custom: true, inputs, provider: `${DOCKER}::id` };
}

const provider = { urn: DOCKER, type: "pulumi:providers:docker", custom: true, id: "id", inputs: {} };

interface Pending {
  readonly type: string;
  readonly resource: ReturnType<typeof resource>;
}

/** Runs it over a state; gives what the CLI was asked, and the state that was put back. */
async function run(
  pending: readonly Pending[],
  existing: readonly object[] = [],
  onServer: OnServer = () => Promise.resolve(undefined),
  findRecord: FindRecord = () => Promise.resolve(undefined),
) {
  const calls: PulumiCall[] = [];
  const state = {
    version: 3,
    deployment: {
      manifest: { time: "now" },
      resources: [provider, ...existing],
      pending_operations: pending,
    },
  };
  const resumed = await resume(
    "test",
    (call) => {
      calls.push(call);
      return Promise.resolve(call.args[1] === "export" ? JSON.stringify(state) : "");
    },
    onServer,
    findRecord,
  );
  const put = calls.find(({ args }) => args[1] === "import")?.input;
  const imported = put === undefined ? undefined : (JSON.parse(put) as typeof state);
  return { resumed, imported, asked: calls.map(({ args }) => args.join(" ")) };
}

describe("resume", () => {
  it("touches nothing when nothing is pending", async () => {
    const { resumed, asked } = await run([]);

    expect(resumed).toEqual({ adopted: [], forgotten: [], refreshed: [] });
    expect(asked).toEqual(["stack export --stack test"]);
  });

  it.each([
    ["docker:index/network:Network", "docker network inspect --format '{{.Id}}' 'n'"],
    ["docker:index/volume:Volume", "docker volume inspect --format '{{.Name}}' 'n'"],
    ["docker:index/secret:Secret", "docker secret inspect --format '{{.ID}}' 'n'"],
    ["docker:index/service:Service", "docker service inspect --format '{{.ID}}' 'n'"],
    ["docker:index/container:Container", "docker container inspect --format '{{.Id}}' 'n'"],
  ])("takes a %s that Docker has made into the state, and reads it", async (type, command) => {
    const made = resource(type, "n");
    const commands: string[] = [];
    const { resumed, imported, asked } = await run([{ type: "creating", resource: made }], [], (_, line) => {
      commands.push(line);
      return Promise.resolve("abc123\n");
    });

    expect(commands).toEqual([command]);
    expect(resumed).toEqual({ adopted: ["n"], forgotten: [], refreshed: [] });
    expect(imported?.deployment.resources.at(-1)).toEqual({ ...made, id: "abc123", outputs: made.inputs });
    expect(imported?.deployment.pending_operations).toEqual([]);
    expect(imported?.deployment.manifest).toEqual({ time: "now" });
    expect(asked.at(-1)).toBe(`refresh --yes --skip-preview --stack test --target ${made.urn}`);
  });

  it("forgets what was not created and what can be created again safely", async () => {
    const { resumed, imported, asked } = await run([
      { type: "creating", resource: resource("docker:index/network:Network", "n") },
      { type: "creating", resource: resource("technicia:host:File", "f", { path: "/a" }) },
    ]);

    expect(resumed).toEqual({ adopted: [], forgotten: ["n", "f"], refreshed: [] });
    expect(imported?.deployment.resources).toEqual([provider]);
    expect(asked).not.toContainEqual(expect.stringContaining("refresh"));
  });

  it("refreshes what was being changed or removed, and keeps it", async () => {
    const file = resource("technicia:host:File", "f", { path: "/a" });
    const { resumed, imported, asked } = await run([{ type: "updating", resource: file }], [file]);

    expect(resumed.refreshed).toEqual(["f"]);
    expect(imported?.deployment.resources).toEqual([provider, file]);
    expect(asked.at(-1)).toContain(`--target ${file.urn}`);
  });

  it("does not adopt twice what the state has", async () => {
    const service = { ...resource("docker:index/service:Service", "s"), id: "old" };
    const { resumed, imported } = await run([{ type: "creating", resource: service }], [service], () =>
      Promise.resolve("new"),
    );

    expect(resumed).toEqual({ adopted: [], forgotten: [], refreshed: ["s"] });
    expect(imported?.deployment.resources).toEqual([provider, service]);
  });

  it("finds DNS records", async () => {
    const record = resource("cloudflare:index/dnsRecord:DnsRecord", "r", {
      name: "a.example.org",
      type: "A",
    });
    const { resumed, imported } = await run([{ type: "creating", resource: record }], [], undefined, () =>
      Promise.resolve("record-1"),
    );

    expect(resumed.adopted).toEqual(["r"]);
    // Cloudflare's plugin refreshes, updates and deletes by the id among the outputs.
    expect(imported?.deployment.resources.at(-1)).toMatchObject({
      id: "record-1",
      outputs: { ...record.inputs, id: "record-1" },
    });
  });

  it("changes nothing when the server cannot be asked", async () => {
    const network = resource("docker:index/network:Network", "n");
    const asked: string[] = [];
    const failing = resume(
      "test",
      ({ args }) => {
        asked.push(args.join(" "));
        return Promise.resolve(
          JSON.stringify({
            version: 3,
            deployment: {
              resources: [provider],
              pending_operations: [{ type: "creating", resource: network }],
            },
          }),
        );
      },
      () => Promise.reject(new Error("ssh: no route to host")),
    );

    await expect(failing).rejects.toThrow("no route to host");
    expect(asked).toEqual(["stack export --stack test"]);
  });
});
