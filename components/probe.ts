/**
 * Asks a public URL until it answers 200, and prints how long that took.
 *
 * Run as `node probe.ts <url> <seconds>`; exits 1 with the last reason on timeout.
 */
import { setTimeout as wait } from "node:timers/promises";

const PAUSE_MS = 1000;
const REQUEST_LIMIT_MS = 10_000;

const [url = "", seconds = "120"] = process.argv.slice(2);
const started = Date.now();
let reason = "no request was sent";

while (Date.now() - started < Number(seconds) * 1000) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(REQUEST_LIMIT_MS), redirect: "error" });
    if (answer.status === 200) {
      console.log(`${url} answered 200 after ${((Date.now() - started) / 1000).toFixed(1)} s`);
      process.exit(0);
    }
    reason = `status ${answer.status}: ${(await answer.text()).slice(0, 200)}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    reason = cause instanceof Error ? cause.message : String(cause);
  }
  await wait(PAUSE_MS);
}
console.error(
  `${url}: expected 200 within ${seconds} s, got ${reason}; look at the services' logs on the server`,
);
process.exit(1);
