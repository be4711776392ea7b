import { describe, expect, it } from "vitest";

import { ORDERED } from "./fixtures.ts";
import {
  bought,
  countCalls,
  killAtEveryCall,
  ONE_OF_EACH,
  type Result,
  up,
  wrongOutcomes,
} from "./kill-at-call.ts";
import type { Death } from "./up-process.ts";
import { startOvhAccount } from "./ovh-account.ts";

describe("Vps whose provider is killed", () => {
  it(
    "is bought, paid and installed once, whichever call was the last one",
    { timeout: 600_000 },
    async () => {
      expect(await killAtEveryCall("at its answer")).toEqual([]);
    },
  );

  it(
    "is never bought again from another machine, whichever change was the last one",
    { timeout: 300_000 },
    async () => {
      const count = await countCalls("changes");
      const deaths = Array.from({ length: count }, (_, index): Death => ({
        call: index + 1,
        of: "changes",
        when: "at its answer",
      }));
      const messages: string[] = [];

      const wrong = await wrongOutcomes(deaths, async (death) => {
        const account = await startOvhAccount();
        try {
          await up({ url: account.ovh.url, folder: account.folder, inputs: ORDERED, death });
          const ordered = account.ovh.state.orders.length;
          const message = await account
            .vps({ folder: `${account.folder}/other` })
            .up(ORDERED)
            .then(() => "bought", String);
          messages.push(message);
          const wasOrdered = ordered > 1;
          const isRight = wasOrdered
            ? /expected no open order|expected every newly|expected no server named/.test(message)
            : message === "bought";
          return isRight && account.ovh.state.orders.length === 2 ? undefined : { death, message, ordered };
        } finally {
          await account.end();
        }
      });

      expect(wrong).toEqual([]);
      expect(messages.join("\n")).toMatch(/order \d+ \(vps-2027-model2, notPaid\)/);
      expect(messages.join("\n")).toMatch(
        /pulumi config set --path technicia:server.serviceName vps-[0-9a-f]+\.vps\.ovh\.net/,
      );
    },
  );

  it(
    "is bought, paid and installed once when one run after the other dies",
    { timeout: 300_000 },
    async () => {
      const account = await startOvhAccount();
      try {
        const task = { url: account.ovh.url, folder: account.folder, inputs: ORDERED };
        let result: Result | undefined;
        let deaths = 0;
        while (
          !(result = await up({ ...task, death: { call: deaths + 1, of: "changes", when: "at its answer" } }))
        )
          deaths += 1;

        expect(result.failure).toBeUndefined();
        expect(deaths).toBeGreaterThan(5);
        expect(bought(account)).toEqual(ONE_OF_EACH);
      } finally {
        await account.end();
      }
    },
  );
});
