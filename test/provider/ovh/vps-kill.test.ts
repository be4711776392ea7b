import { describe, expect, it } from "vitest";

import { ORDERED } from "./given.ts";
import {
  bought,
  countCalls,
  killAtEveryCall,
  ONE_OF_EACH,
  type Result,
  up,
  wrongOutcomes,
} from "./killed.ts";
import type { Death } from "./worker.ts";
import { startWorld } from "./world.ts";

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
        const world = await startWorld();
        try {
          await up({ url: world.ovh.url, folder: world.folder, inputs: ORDERED, death });
          const ordered = world.ovh.state.orders.length;
          const message = await world
            .vps({ folder: `${world.folder}/other` })
            .up(ORDERED)
            .then(() => "bought", String);
          messages.push(message);
          const wasOrdered = ordered > 1;
          const isRight = wasOrdered
            ? /expected no open order|expected every newly|expected no server named/.test(message)
            : message === "bought";
          return isRight && world.ovh.state.orders.length === 2 ? undefined : { death, message, ordered };
        } finally {
          await world.end();
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
      const world = await startWorld();
      try {
        const task = { url: world.ovh.url, folder: world.folder, inputs: ORDERED };
        let result: Result | undefined;
        let deaths = 0;
        while (
          !(result = await up({ ...task, death: { call: deaths + 1, of: "changes", when: "at its answer" } }))
        )
          deaths += 1;

        expect(result.failure).toBeUndefined();
        expect(deaths).toBeGreaterThan(5);
        expect(bought(world)).toEqual(ONE_OF_EACH);
      } finally {
        await world.end();
      }
    },
  );
});
