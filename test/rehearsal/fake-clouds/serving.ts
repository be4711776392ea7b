import { afterEach } from "vitest";

import { CallLog } from "../../../rehearsal/fake-clouds/api/calls.ts";
import { Faults } from "../../../rehearsal/fake-clouds/api/faults.ts";
import { serveApi, type ServedApi } from "../../../rehearsal/fake-clouds/api/server.ts";
import { ManualClock } from "../../../rehearsal/fake-clouds/clock.ts";

/** One fake API on a port of its own, with a clock that only the test moves. */
export interface Served {
  readonly origin: string;
  readonly calls: CallLog;
  readonly faults: Faults;
  readonly clock: ManualClock;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** Serves an API until the end of the test. */
export async function serve(make: (clock: ManualClock) => ServedApi): Promise<Served> {
  const [calls, faults, clock] = [new CallLog(), new Faults(), new ManualClock(new Date())];
  const server = await serveApi({ ...make(clock), host: "127.0.0.1", port: 0, calls, faults, clock });
  closers.push(() => server.close());
  return { origin: server.origin, calls, faults, clock };
}

/** One request; a body is sent as JSON, a text as it is. */
export async function send(
  url: string,
  { method, headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: unknown } = {},
): Promise<Answered> {
  const answer = await fetch(url, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { "content-type": "application/json", ...headers },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.startsWith("application/json") === true;
  return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
}
