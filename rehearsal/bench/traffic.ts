import { readFile } from "node:fs/promises";
import { get } from "node:https";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { DATACENTRE, STATE } from "../addresses.ts";
import { domainOf } from "../stack-settings.ts";
import { measure, type Measure } from "./measure.ts";

/** Measures a step while the public address is asked again and again. */
export async function measureUnderTraffic(name: string, step: () => Promise<unknown>): Promise<Measure> {
  const ca = await readFile(join(STATE, "acme-root.pem"));
  const seen = { asked: 0, failed: 0 };
  const ended = new AbortController();
  const asking = (async () => {
    while (!ended.signal.aborted) {
      seen.asked += 1;
      if (!(await isAnswered(ca))) seen.failed += 1;
      await delay(20);
    }
  })();
  const measured = await measure(name, { step });
  ended.abort();
  await asking;
  return { ...measured, requests: `${seen.failed} of ${seen.asked}` };
}

function isAnswered(ca: Buffer): Promise<boolean> {
  const name = domainOf("test");
  const options = {
    host: DATACENTRE.server,
    servername: name,
    headers: { host: name },
    path: "/healthz",
    ca,
  };
  return new Promise((resolve) => {
    const request = get({ ...options, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", () => resolve(false));
  });
}
