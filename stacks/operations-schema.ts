/** The settings for `npm run deploy` and its checks: when a deployment may start, and what it may cost. */
import { z } from "zod";

import {
  choice,
  day,
  flag,
  inOrder,
  list,
  map,
  number,
  optionalMap,
  text,
  timeOfDay,
  whole,
} from "./setting-types.ts";

const weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] as const;

const price = number("expected euros of at least 0, such as 2.6", (euros) => euros >= 0 && euros <= 10_000);

export const operations = map({
  window: optionalMap({
    days: list(choice(weekdays))
      .min(1, { error: "expected at least one day, such as tuesday" })
      .meta({ description: "Days on which a deployment may start.", example: ["tuesday"] }),
    fromUtc: timeOfDay.meta({ description: "Start of the window, in UTC.", example: "09:00" }),
    toUtc: timeOfDay.meta({ description: "End of the window, in UTC.", example: "12:00" }),
  })
    .superRefine(inOrder({ first: "fromUtc", second: "toUtc", orEqual: false }))
    .meta({
      description: "When a deployment may start; left out, at any time.",
      example: { days: ["tuesday"], fromUtc: "09:00", toUtc: "12:00" },
    })
    .optional(),
  holidays: map({
    country: z
      .enum(["FR"], { error: 'expected "FR"' })
      .meta({
        description: "Country whose public holidays close the window, and the days before them.",
        example: "FR",
      })
      .optional(),
    extra: list(day)
      .default([])
      .meta({ description: "More such days, in quotes.", example: ["2026-12-24"] }),
  }),
  freezes: list(
    optionalMap({
      from: day.meta({ description: "First day, in quotes.", example: "2026-12-18" }),
      to: day.meta({ description: "Last day, in quotes.", example: "2027-01-04" }),
      reason: text("expected why, in a few words", (reason) => reason.trim() !== "").meta({
        description: "Why; the refusal quotes it.",
        example: "fêtes",
      }),
    }).superRefine(inOrder({ first: "from", second: "to", orEqual: true })),
  )
    .default([])
    .meta({
      description: "Spans of days in which nothing is deployed.",
      example: [{ from: "2026-12-18", to: "2027-01-04", reason: "fêtes" }],
    }),
  supplyChain: map({
    digests: flag().default(false).meta({
      description: "Whether preflight fails for an image without a digest.",
      example: true,
    }),
    scan: flag().default(false).meta({
      description:
        "Whether preflight fails for a critical vulnerability that could be fixed, and without a scan of the last 7 days.",
      example: true,
    }),
    exceptions: list(
      optionalMap({
        id: text("expected the name of a vulnerability, such as CVE-2026-1234", /^[A-Z]+-[\w-]{4,40}$/).meta({
          description: "The vulnerability.",
          example: "CVE-2026-1234",
        }),
        reason: text("expected why, in a few words", (reason) => reason.trim() !== "").meta({
          description: "Why it does no harm here; the record of the release quotes it.",
          example: "la fonction concernée n'est pas utilisée",
        }),
        until: day.meta({ description: "Last day of the exception, in quotes.", example: "2027-01-31" }),
      }),
    )
      .default([])
      .meta({
        description: "Vulnerabilities that do not count for a while.",
        example: [{ id: "CVE-2026-1234", reason: "fonction non utilisée", until: "2027-01-31" }],
      }),
  }).meta({ affects: "preflight" }),
  dnsSettledHours: whole("hours", { least: 0, most: 720 }).meta({
    description: "How long the names must have pointed at the server before a deployment, in hours.",
    example: 24,
    affects: "preflight",
  }),
  maxMonthlyEur: number("expected a number above 0", (price) => price > 0)
    .meta({
      description:
        "Highest cost that a deployment may lead to, in euros a month without tax: server, options and backups, as `npm run preview` shows them.",
      example: 30,
      affects: "deploy",
    })
    .optional(),
  modelPrices: list(
    optionalMap({
      model: text("expected the name of a model, such as claude-sonnet-4-5-20250929", /^[\w.-]{1,100}$/).meta(
        {
          description: "Model, by the name that its API answers with.",
          example: "claude-sonnet-4-5-20250929",
        },
      ),
      inputEurPerMillion: price.meta({
        description: "Price of a million tokens that it is sent, in euros without tax.",
        example: 2.6,
      }),
      outputEurPerMillion: price.meta({
        description: "Price of a million tokens that it answers with, in euros without tax.",
        example: 13,
      }),
    }),
  )
    .prefault([])
    .meta({
      description:
        "Prices of language models, which turn the tokens of the last 30 days into a cost; a model without a price is not estimated.",
      example: [{ model: "claude-sonnet-4-5-20250929", inputEurPerMillion: 2.6, outputEurPerMillion: 13 }],
      affects: "preview and report",
    }),
}).meta({
  description: "For `npm run deploy` and its checks; no resource follows from it.",
  affects: "deploy",
});
