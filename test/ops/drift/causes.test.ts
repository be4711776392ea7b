import { describe, expect, it } from "vitest";

import { causesAmong, ranksOf, readUnchecked } from "../../../ops/drift/causes.ts";
import type { Difference } from "../../../ops/drift/differences.ts";

const urnOf = (type: string, name: string) => `urn:pulumi:test::technicia::${type}::${name}`;
const NODE = urnOf("technicia:host:State", "host-node");
const SERVICE = urnOf("docker:index/service:Service", "technicia-n8n-service");
const OWNER = urnOf("technicia:host:State", "n8n-owner");
const CERTIFICATE = urnOf("technicia:host:State", "certificate-served");
const MOTD = urnOf("technicia:host:File", "host-motd");

const resource = (urn: string, ...dependencies: string[]) => ({
  ...{ urn, dependencies, id: "", custom: true, delete: false, inputs: {}, outputs: {} },
  type: urn.split("::")[2] ?? "",
});
const RESOURCES = [
  resource(NODE),
  resource(MOTD),
  // It depends on the node by its provider only.
  resource(SERVICE),
  resource(OWNER, SERVICE),
  resource(CERTIFICATE, SERVICE, MOTD),
];

const nodeIs = (found: string): Difference => ({
  ...{ layer: "host", urn: NODE, resource: "host-node", kind: "changed", what: "host node", inputs: {} },
  ...{ expected: ["active, manager, labels: none"], found: [found] },
});

describe("the cause of a finding", () => {
  it.each(["drain, manager, labels: none", "pause, manager, labels: none"])(
    "is a node that takes no tasks (%s), for all that runs on it or is read through that",
    (found) => {
      const causeOf = causesAmong([nodeIs(found)], RESOURCES);

      expect([SERVICE, OWNER, CERTIFICATE, MOTD, NODE].map(causeOf)).toEqual([
        ...["host-node", "host-node", "host-node"],
        ...[undefined, undefined],
      ]);
      expect(readUnchecked(new Map([[OWNER, "no answer"]]), causeOf)).toEqual([
        { what: "n8n-owner", reason: "no answer", because: "host-node" },
      ]);
    },
  );

  it("is no label of the node", () => {
    const causeOf = causesAmong([nodeIs("active, manager, labels: a=1")], RESOURCES);

    expect(RESOURCES.map(({ urn }) => causeOf(urn))).toEqual(RESOURCES.map(() => undefined));
  });

  it("comes before what is made from it", () => {
    const rankOf = ranksOf(RESOURCES);

    expect([CERTIFICATE, OWNER, SERVICE, MOTD].sort((a, b) => rankOf(a) - rankOf(b))).toEqual([
      ...[SERVICE, MOTD, CERTIFICATE, OWNER],
    ]);
  });
});
