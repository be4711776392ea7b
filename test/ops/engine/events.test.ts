import { describe, expect, it } from "vitest";

import { PolicyFailure } from "../../../ops/engine/cli.ts";
import { readEvents, readViolations, runEngine } from "../../../ops/engine/events.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";

const URN = "urn:pulumi:test::technicia::docker:index/service:Service::technicia-qdrant-service";

function policyEvent(changes: object = {}): string {
  const event = {
    resourceUrn: URN,
    message: "<{%fg 13%}>Every image is exact.\nimage: expected a version; write one<{%reset%}>\n",
    color: "raw",
    policyName: "exact-images",
    policyPackName: "technicia",
    enforcementLevel: "mandatory",
    ...changes,
  };
  return `${JSON.stringify({ sequence: 1, timestamp: 1, policyEvent: event })}\n`;
}

const advisory = policyEvent({ policyName: "sizes", enforcementLevel: "advisory", resourceUrn: "" });

describe("readViolations", () => {
  it("gives each broken rule once, without the engine's colours, and first what refuses", () => {
    const log = advisory + policyEvent() + policyEvent();

    expect(readViolations(readEvents(log))).toEqual([
      {
        rule: "exact-images",
        refuses: true,
        resource: "technicia-qdrant-service",
        text: "Every image is exact.\nimage: expected a version; write one",
      },
      expect.objectContaining({ rule: "sizes", refuses: false, resource: "" }),
    ]);
  });
});

describe("runEngine", () => {
  const run = (events: string) => {
    const { pulumi } = fakePulumi(() => ({ events, stderr: "error: preview failed" }));
    return runEngine({ pulumi, args: ["preview", "--stack", "test"] });
  };

  it("names the rules that refused, which the CLI's error does not", async () => {
    const { failure } = await run(policyEvent() + advisory);

    expect(failure).toBeInstanceOf(PolicyFailure);
    expect(failure?.errors).toEqual([
      "error: preview failed",
      "exact-images: technicia-qdrant-service: Every image is exact. image: expected a version; write one",
    ]);
    expect(failure?.message).toContain("rules of the policy pack refuse this:\nexact-images: ");
  });

  it.each([
    ["only notes something", advisory],
    ["is not there", ""],
    ["cannot be read", "{}\nno event\n{}\n"],
  ])("keeps the engine's own failure where the log %s", async (_, events) => {
    const { failure } = await run(events);

    expect(failure).not.toBeInstanceOf(PolicyFailure);
    expect(failure?.errors).toEqual(["error: preview failed"]);
  });
});
