/** A client of the public address that asks some paths once a second, and counts what fails. */
import type { CheckEffects } from "./context.ts";
import { askPublic, type PublicSite } from "./public/gateway.ts";

export interface Requests {
  /** Those that have ended. */
  readonly requests: number;
  readonly failed: number;

  /** In milliseconds, by this machine's clock: when the first that failed was sent, and when the last that failed had ended. */
  readonly firstFailure: number | undefined;
  readonly lastFailure: number | undefined;

  /** When the last that was answered had ended. */
  readonly lastSuccess: number | undefined;
}

export interface SyntheticClient {
  readonly counted: Requests;

  /** Sends no more, and waits for those that are on their way. */
  stop(): Promise<void>;
}

interface Begun {
  readonly site: PublicSite;
  readonly paths: readonly string[];
  readonly effects: Pick<CheckEffects, "now"> & {
    readonly wait: (seconds: number, signal: AbortSignal) => Promise<void>;
  };
  readonly signal: AbortSignal;

  /** Without one, `/` is 404. */
  readonly hasFrontend: boolean;
}

const EVERY_SECONDS = 1;
const LIMIT_MILLISECONDS = 10_000;

export function startClient({ site, paths, effects, signal, hasFrontend }: Begun): SyntheticClient {
  const ended = new AbortController();
  const either = AbortSignal.any([ended.signal, signal]);
  const counted = {
    requests: 0,
    failed: 0,
    firstFailure: undefined as number | undefined,
    lastFailure: undefined as number | undefined,
    lastSuccess: undefined as number | undefined,
  };
  const isGood = (path: string, status: number) =>
    status < 400 || (path === "/" && !hasFrontend && status === 404);
  const send = async (path: string) => {
    const sent = effects.now();
    const limit = AbortSignal.timeout(LIMIT_MILLISECONDS);
    const status = await askPublic(site, { path, signal: limit }).then(
      (answer) => answer.status,
      () => undefined,
    );
    counted.requests += 1;
    if (status !== undefined && isGood(path, status)) {
      counted.lastSuccess = effects.now();
      return;
    }
    counted.failed += 1;
    counted.firstFailure = Math.min(counted.firstFailure ?? sent, sent);
    counted.lastFailure = effects.now();
  };
  const goOn = async () => {
    const underWay: Promise<void>[] = [];
    while (!either.aborted) {
      underWay.push(...paths.map(send));
      await effects.wait(EVERY_SECONDS, either);
    }
    await Promise.all(underWay);
  };
  const finished = goOn();
  return {
    counted,
    async stop() {
      ended.abort();
      await finished;
    },
  };
}
