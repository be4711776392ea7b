/**
 * Asks a public URL until it answers 200, and prints how long that took.
 *
 * Run as `node probe.ts <url> <seconds> [untrusted-authority]`; exits 1 with the last reason on timeout.
 *
 * With `untrusted-authority` no machine knows the certificate's chain, so only its names and dates are judged here. Whose it is has been
 * seen over ssh by then: the resource `certificate-served` compares what port 443 presents with what the authority gave.
 */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { setTimeout as wait } from "node:timers/promises";
import { checkServerIdentity, type TLSSocket } from "node:tls";

const PAUSE_MS = 1000;
const REQUEST_LIMIT_MS = 10_000;

const [url = "", seconds = "120", authority = ""] = process.argv.slice(2);
const started = Date.now();
let reason = "no request was sent";

/** Returns why the URL is not served as it should be; nothing when it is. */
async function look(): Promise<string | undefined> {
  const isTrusted = authority !== "untrusted-authority";
  const signal = AbortSignal.timeout(REQUEST_LIMIT_MS);
  const sent = request(url, { agent: false, signal, rejectUnauthorized: isTrusted });
  sent.end();
  const [answer] = (await once(sent, "response", { signal })) as [IncomingMessage];
  const certificate = (answer.socket as TLSSocket).getPeerCertificate();
  const parts: Buffer[] = [];
  for await (const part of answer as AsyncIterable<Buffer>) parts.push(part);
  const wrongName = checkServerIdentity(new URL(url).hostname, certificate);
  if (wrongName) return wrongName.message;
  if (Date.parse(certificate.valid_to) < Date.now()) return `certificate expired ${certificate.valid_to}`;
  if (answer.statusCode === 200) return undefined;
  return `status ${answer.statusCode}: ${Buffer.concat(parts).toString("utf8").slice(0, 200)}`;
}

while (Date.now() - started < Number(seconds) * 1000) {
  const problem = await look().catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  );
  if (problem === undefined) {
    console.log(`${url} answered 200 after ${((Date.now() - started) / 1000).toFixed(1)} s`);
    process.exit(0);
  }
  reason = problem;
  await wait(PAUSE_MS);
}
console.error(
  `${url}: expected 200 within ${seconds} s, got ${reason}; look at the services' logs on the server`,
);
process.exit(1);
