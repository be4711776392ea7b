import type { CheckContext } from "../context.ts";
import { failed, notChecked, ok, type Probe } from "../finding.ts";
import type { Inside } from "./access.ts";
import { ovhTime } from "../keys/ovh-api.ts";
import type { World } from "../world.ts";

/** Certificates, signatures and tokens bear half a minute; a clock that is kept is off by milliseconds. */
const TOLERANCE_SECONDS = 5;

/** Compares this machine's clock with OVH's and with the server's. */
export function clockProbe({ environment }: CheckContext, inside: Inside, world: World): Probe {
  return {
    id: "clock",
    title: "Horloges à l'heure",
    async find(signal) {
      const offsets: { readonly who: string; readonly key: string; readonly seconds: number }[] = [];
      const silent: string[] = [];
      const compare = async (who: string, key: string, read: () => Promise<number>) => {
        const before = world.now();
        try {
          const told = await read();
          // The answer was given somewhere between the question and now.
          const middle = (before + world.now()) / 2;
          offsets.push({ who, key, seconds: (told - middle) / 1000 });
        } catch (error) {
          signal.throwIfAborted();
          silent.push(`${who} (${error instanceof Error ? error.message : String(error)})`);
        }
      };
      await compare("OVH", "ovhOffsetSeconds", async () => {
        // Whole seconds: the truth is half a second later on average.
        return (await ovhTime(world, environment.ovh.endpoint, signal)) * 1000 + 500;
      });
      if (typeof inside !== "string") {
        await compare("serveur", "serverOffsetSeconds", async () => {
          const { stdout } = await inside.run({
            purpose: "read its clock",
            script: "date +%s%3N",
            timeoutSeconds: 20,
          });
          return Number(stdout.trim());
        });
      } else silent.push(`serveur (${inside})`);

      const measures = Object.fromEntries(
        offsets.map(({ key, seconds }) => [key, Math.round(seconds * 100) / 100]),
      );
      const wrong = offsets.filter(({ seconds }) => !(Math.abs(seconds) <= TOLERANCE_SECONDS));
      const told = offsets.map(
        ({ who, seconds }) => `${who} ${seconds >= 0 ? "+" : ""}${seconds.toFixed(1)} s`,
      );
      if (wrong.length > 0) return failed(`écart avec cette machine : ${told.join(", ")}`, measures);
      if (silent.length > 0) return notChecked(`sans réponse : ${silent.join(", ")}`, measures);
      return ok(`écart avec cette machine : ${told.join(", ")}`, measures);
    },
  };
}
