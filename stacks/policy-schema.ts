/** The settings of the policy pack: from which of its rules an environment is excepted, why, and until when. */
import { day, choice, list, map, optionalMap, text } from "./setting-types.ts";

/** Rules from which the settings may except; from all others nothing does. */
export const exceptedRules = ["sshOpen", "backups", "monitoring"] as const;

export type ExceptedRule = (typeof exceptedRules)[number];

export const policy = map({
  exceptions: list(
    optionalMap({
      rule: choice(exceptedRules).meta({
        description:
          "What is excepted: `sshOpen` (ssh from ranges as wide as the internet), `backups` or `monitoring` (an environment that protects its data without them).",
        example: "sshOpen",
      }),
      until: day.meta({ description: "Last day of the exception, in quotes.", example: "2026-12-24" }),
      reason: text("expected why, in a few words", (reason) => reason.trim() !== "").meta({
        description: "Why; every preview shows it.",
        example: "dépannage sans VPN",
      }),
    }),
  )
    .default([])
    .meta({
      description: "Exceptions from rules that otherwise stop a deployment.",
      example: [{ rule: "sshOpen", until: "2026-12-24", reason: "dépannage sans VPN" }],
    }),
}).meta({
  description: "Dated exceptions from the rules of the policy pack (stacks/policy).",
  affects: "every preview and update",
});
