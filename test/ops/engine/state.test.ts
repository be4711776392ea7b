import { describe, expect, it } from "vitest";

import type { PulumiCall } from "../../../ops/engine/cli.ts";
import { readState } from "../../../ops/engine/state.ts";

const server = {
  urn: "urn:pulumi:test::technicia::technicia:ovh:Vps::vps-server",
  type: "technicia:ovh:Vps",
  custom: true,
  inputs: { serviceName: "vps-1" },
  sequenceNumber: 3,
};
const half = { ...server, urn: `${server.urn}-2` };
const whole = {
  version: 3,
  deployment: {
    manifest: { time: "now", magic: "abc" },
    secrets_providers: { type: "passphrase", state: { salt: "v1:x" } },
    resources: [server],
    pending_operations: [{ type: "creating", resource: half }],
    metadata: {},
  },
  later: { unknown: true },
};

function pulumiWith(state: unknown) {
  const calls: PulumiCall[] = [];
  const pulumi = (call: PulumiCall) => {
    calls.push(call);
    return Promise.resolve(call.args[1] === "export" ? JSON.stringify(state) : "");
  };
  return { pulumi, calls };
}

describe("readState", () => {
  it("puts back everything that it does not know", async () => {
    const { pulumi, calls } = pulumiWith(whole);
    const state = await readState("test", pulumi);
    await state.replace(state);

    expect(JSON.parse(calls.at(-1)?.input ?? "")).toEqual(whole);
    expect(calls.at(-1)?.args).toEqual(["stack", "import", "--stack", "test"]);
  });

  it("puts nothing back when another run has changed the state meanwhile", async () => {
    let exports = 0;
    const asked: string[] = [];
    const state = await readState("test", ({ args }) => {
      asked.push(args[1] ?? "");
      return Promise.resolve(JSON.stringify({ ...whole, version: (exports += 1) }));
    });

    await expect(state.replace(state)).rejects.toThrow(
      "the state of stack test: another run has changed it meanwhile, so nothing was put back; wait for it to end, then run this again",
    );
    expect(asked).not.toContain("import");
  });

  it.each([[{ version: 3, deployment: null }], [{ version: 3, deployment: { manifest: {} } }]])(
    "finds nothing in the state %j of a stack that was never deployed",
    async (state) => {
      expect(await readState("test", pulumiWith(state).pulumi)).toMatchObject({ resources: [], pending: [] });
    },
  );

  it("fails without repeating a state of another form", async () => {
    const state = { deployment: { resources: [{ urn: 1, type: "secret" }] } };

    await expect(readState("test", pulumiWith(state).pulumi)).rejects.toThrow(
      /^pulumi stack export: expected JSON of another form; use the version/,
    );
  });
});
