import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { Sealed, type Recording, type Registration, valueOf } from "../support/engine.ts";
import { deploy, everything, least, usual, type Variant } from "../support/technicia.ts";

const EXPLANATION = `# Every resource that the program registers: its URN without stack and project, and a digest of its inputs and options.
# A changed line is a difference in every deployed stack; a changed URN replaces the resource, its data included.
# After a change that is meant: npx vitest run --project parts test/stacks/technicia-urns --update
`;

describe("the program", () => {
  it("shows no difference for a stack that was deployed before", async () => {
    const sections: string[] = [];
    for (const [name, variant] of Object.entries({ usual, everything, least })) {
      sections.push(`\n== ${name}\n${await describeRecording(await deploy(variant))}`);
    }
    const { registrations } = await deploy(committed());
    const urns = registrations.map(({ identity }) => `${identity}\n`).sort();
    sections.push(
      `\n== Pulumi.test.yaml, without digests: its values change with every upgrade\n${urns.join("")}`,
    );

    await expect(EXPLANATION + sections.join("")).toMatchFileSnapshot("./urns.golden.txt");
  });
});

/** The committed settings of the test environment, with a person's answers from the valid settings. */
function committed(): Variant {
  const file = readFileSync(new URL("../../Pulumi.test.yaml", import.meta.url), "utf8");
  const { config } = parse(file) as { config: Record<string, unknown> };
  const settings = Object.entries(config).flatMap(([key, value]) =>
    leaves(key.replace("technicia:", ""), value),
  );
  return {
    settings: {
      backup: { project: "0123456789abcdef0123456789abcdef" },
      monitoring: {},
      workflows: {},
      documents: {},
      "services.gateway.hold": {},
      ...Object.fromEntries(settings),
    },
  };
}

function leaves(path: string, value: unknown): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(`${path}.${key}`, inner));
}

async function describeRecording(recording: Recording<unknown>): Promise<string> {
  const resources = recording.registrations
    .map((one) => `${one.identity}  ${digest(stateOf(one, recording))}\n`)
    .sort();
  return `${resources.join("")}outputs  ${digest(await valueOf({ ...(recording.result as object) }))}\n`;
}

/** Everything that the engine compares with the state of the last deployment. */
function stateOf(one: Registration, { componentOutputs }: Recording<unknown>) {
  const { inputs, provider, protect, retainOnDelete, deleteBeforeReplace, replaceOnChanges } = one;
  const options = { provider, protect, retainOnDelete, deleteBeforeReplace, replaceOnChanges };
  return { inputs, outputs: componentOutputs[one.urn], options };
}

function digest(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(sorted(value)))
    .digest("hex")
    .slice(0, 16);
}

/** With keys in order, which the engine does not compare, and secrets in clear, marked. */
function sorted(value: unknown): unknown {
  if (value instanceof Sealed) return { secret: sorted(value.value) };
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
