/** A client of the public address that asks some paths once a second and others when it is told to, and counts what fails. */
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

/** A request that is too dear to be sent every second. */
export interface RareRequest {
  readonly method: "GET" | "POST";
  readonly path: string;

  /** JSON. */
  readonly body?: string | undefined;
}

export interface SyntheticClient {
  readonly counted: Requests;

  /** Sends each of the rare requests now, and gives those that fail in words: `POST /api/question : 502`. Never rejects. */
  askRarely(): Promise<readonly string[]>;

  /** Sends no more, and waits for those that are on their way. */
  stop(): Promise<void>;
}

interface Begun {
  readonly site: PublicSite;
  readonly paths: readonly string[];
  readonly rare: readonly RareRequest[];

  /** How long an answer to a rare request may take, in seconds. */
  readonly rareSeconds: number;
  readonly effects: Pick<CheckEffects, "now"> & {
    readonly wait: (seconds: number, signal: AbortSignal) => Promise<void>;
  };
  readonly signal: AbortSignal;

  /** Without one, `/` is 404. */
  readonly hasFrontend: boolean;
}

const EVERY_SECONDS = 1;
const LIMIT_MILLISECONDS = 10_000;

export function startClient(begun: Begun): SyntheticClient {
  const { paths, rare, rareSeconds, effects, signal } = begun;
  const ended = new AbortController();
  const either = AbortSignal.any([ended.signal, signal]);
  const counted = {
    requests: 0,
    failed: 0,
    firstFailure: undefined as number | undefined,
    lastFailure: undefined as number | undefined,
    lastSuccess: undefined as number | undefined,
  };
  const underWay: Promise<unknown>[] = [];
  const send = (request: RareRequest, limit: Pick<Sent, "limitMilliseconds" | "cut">) => {
    const answered = count(counted, { begun, request, ...limit });
    underWay.push(answered);
    return answered;
  };
  const goOn = async () => {
    while (!either.aborted) {
      for (const path of paths) void send({ method: "GET", path }, { limitMilliseconds: LIMIT_MILLISECONDS });
      await effects.wait(EVERY_SECONDS, either);
    }
  };
  const finished = goOn();
  return {
    counted,
    async askRarely() {
      // An answer may take minutes, for which neither an interruption nor a rollback waits.
      const limit = { limitMilliseconds: rareSeconds * 1000, cut: either };
      const answers = await Promise.all(
        rare.map(async (request) => ({ request, ...(await send(request, limit)) })),
      );
      return answers
        .filter(({ isGood }) => !isGood)
        .map(({ request, status }) => `${request.method} ${request.path} : ${status ?? "pas de réponse"}`);
    },
    async stop() {
      ended.abort();
      await finished;
      await Promise.all(underWay);
    },
  };
}

interface Sent {
  readonly begun: Begun;
  readonly request: RareRequest;
  readonly limitMilliseconds: number;

  /** Ends it without counting it. */
  readonly cut?: AbortSignal;
}

/** Sends it and counts how it ended. */
async function count(
  counted: { -readonly [Name in keyof Requests]: Requests[Name] },
  { begun: { site, effects, hasFrontend }, request, limitMilliseconds, cut }: Sent,
): Promise<{ readonly status: number | undefined; readonly isGood: boolean }> {
  const { method, path, body } = request;
  const sent = effects.now();
  const limit = AbortSignal.timeout(limitMilliseconds);
  const signal = cut === undefined ? limit : AbortSignal.any([limit, cut]);
  const status = await askPublic(site, { method, path, json: body, signal }).then(
    (answer) => answer.status,
    () => undefined,
  );
  const isGood = status !== undefined && (status < 400 || (path === "/" && !hasFrontend && status === 404));
  if (status === undefined && cut?.aborted === true) return { status, isGood };
  counted.requests += 1;
  if (isGood) {
    counted.lastSuccess = effects.now();
    return { status, isGood };
  }
  counted.failed += 1;
  counted.firstFailure = Math.min(counted.firstFailure ?? sent, sent);
  counted.lastFailure = effects.now();
  return { status, isGood };
}
