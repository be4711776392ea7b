import { openOvh, readOvh } from "../../vendors/ovh.ts";
import type { CheckEffects } from "../context.ts";
import { failed, notChecked, ok, type Probe } from "../probe.ts";
import type { ServerAccess } from "./access.ts";

/** Certificates, signatures and tokens tolerate half a minute; a synchronised clock is off by milliseconds. */
const TOLERANCE_SECONDS = 5;

interface ClockOptions extends Pick<CheckEffects, "fetch" | "now"> {
  /** Endpoint of OVH's API. */
  readonly endpoint: string;
  readonly access: ServerAccess;
}

interface Clock {
  readonly name: string;
  readonly measure: string;

  /** Milliseconds since 1970. */
  readonly read: (signal: AbortSignal) => Promise<number>;
}

/** Compares this machine's clock with OVH's and with the server's. */
export function clockProbe(options: ClockOptions): Probe {
  return {
    id: "clock",
    title: "Horloges à l'heure",
    async find(signal) {
      const offsets: { readonly clock: Clock; readonly seconds: number }[] = [];
      const silent: string[] = [];
      // One after the other, because a busy machine measures badly.
      for (const clock of clocks(options)) {
        const before = options.now();
        try {
          const time = await clock.read(signal);
          // The clock was read at some moment between the question and now.
          const middle = (before + options.now()) / 2;
          offsets.push({ clock, seconds: (time - middle) / 1000 });
        } catch (error) {
          signal.throwIfAborted();
          silent.push(`${clock.name} (${error instanceof Error ? error.message : String(error)})`);
        }
      }
      const measures = Object.fromEntries(
        offsets.map(({ clock, seconds }) => [clock.measure, Math.round(seconds * 100) / 100]),
      );
      const seen = offsets
        .map(({ clock, seconds }) => `${clock.name} ${seconds >= 0 ? "+" : ""}${seconds.toFixed(1)} s`)
        .join(", ");
      // A clock that prints no number is wrong, too.
      const isWrong = offsets.some(({ seconds }) => !(Math.abs(seconds) <= TOLERANCE_SECONDS));
      if (isWrong) return failed(`écart avec cette machine : ${seen}`, measures);
      if (silent.length > 0) return notChecked(`sans réponse : ${silent.join(", ")}`, measures);
      return ok(`écart avec cette machine : ${seen}`, measures);
    },
  };
}

function clocks({ endpoint, access, fetch }: ClockOptions): Clock[] {
  return [
    {
      name: "OVH",
      measure: "ovhOffsetSeconds",
      async read(signal) {
        const client = openOvh({ endpoint, secrets: {}, fetch });
        const { body } = await readOvh(client, { path: "/auth/time", isPublic: true, signal });
        if (typeof body !== "number") throw new Error("OVH ne donne pas son heure");
        // OVH gives whole seconds, which are half a second late on average.
        return body * 1000 + 500;
      },
    },
    {
      name: "serveur",
      measure: "serverOffsetSeconds",
      async read() {
        if (!access.server) throw new Error(access.obstacle);
        const { stdout } = await access.server.run({
          purpose: "read its clock",
          script: "date +%s%3N",
          timeoutSeconds: 20,
        });
        return Number(stdout.trim());
      },
    },
  ];
}
