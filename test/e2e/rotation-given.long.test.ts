/**
 * Secrets that a person gives, rotated on a real server while visitors ask: VoyageAI's key, and where alerts go. The doubles of OVHcloud, Cloudflare,
 * Anthropic, Google, the registry, the storage and the mail server know one key each, so theirs are rotated on the model alone (`test/ops/rotation`).
 */
import { randomBytes } from "node:crypto";

import { describe, it } from "vitest";

import { expectQuiet } from "./rehearsal.ts";
import { deployedWith, testRotations } from "./rotating.ts";

const hex = (bytes: number) => randomBytes(bytes).toString("hex");
const capitals = (bytes: number) => hex(bytes).toUpperCase();

deployedWith({});

testRotations([
  { name: "voyageApiKey", next: () => `pa-rehearsal-${hex(16)}` },
  {
    name: "slackUrl",
    next: () => `https://hooks.slack.com/services/T${capitals(5)}/B${capitals(5)}/${hex(12)}`,
  },
  { name: "pagerUrl", next: () => `https://passerelle.sms.example/alertes/${hex(16)}` },
  { name: "pagerDutyKey", next: () => hex(16) },
]);

describe("after all rotations", () => {
  it("the settings are what runs", expectQuiet);
});
