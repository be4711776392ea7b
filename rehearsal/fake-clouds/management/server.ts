import { serveApi } from "../api/server.ts";
import { type Api, CallLog } from "../api/calls.ts";
import { systemClock } from "../clock.ts";
import type { FakeCloudflare } from "../cloudflare/server.ts";
import type { DnsServer } from "../dns/server.ts";
import { type Fault, Faults } from "../api/faults.ts";
import type { FakeOvh } from "../ovh/server.ts";
import { type ApiRequest, Router, type Routes } from "../api/routes.ts";
import { cloudflareTampering, ovhTampering, TamperError } from "./tampering.ts";

export interface ManagementOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** @default a free one */
  readonly port?: number;
  readonly ovh: FakeOvh;
  readonly cloudflare: FakeCloudflare;
  readonly dns: Pick<DnsServer, "absences">;
  /** Shared by the fake APIs. */
  readonly calls: CallLog;
  readonly faults: Faults;
  /** Called whenever the state of a fake API may have changed. */
  readonly onChange?: () => void;
}

export interface Management {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the management port for tests: it lists calls, injects faults and makes changes from outside. */
export async function startManagement(options: ManagementOptions): Promise<Management> {
  const { ovh, cloudflare, dns, calls, faults } = options;
  const router = new Router({
    "GET /health": () => ({ ready: true }),
    // The internet's services that tell callers their own address.
    "GET /address": ({ from }) => ({ ip: from.replace(/^::ffff:/, "") }),
    "GET /calls": ({ query }) => calls.list((query.get("api") as Api | null) ?? undefined),
    "DELETE /calls": () => calls.clear(),
    "GET /faults": () => faults.list(),
    "POST /faults": (request) => {
      faults.add(readJson(request) as unknown as Fault);
      return faults.list();
    },
    "DELETE /faults": () => faults.clear(),
    "GET /state": () => ({ ovh: ovh.state, cloudflare: cloudflare.state }),
    "GET /absences": () => dns.absences(),
    "GET /settled": async () => {
      await ovh.settled();
      return { failures: ovh.state.failures };
    },
    "GET /delays": () => ovh.delays,
    "POST /delays": (request) => {
      for (const [name, value] of Object.entries(readJson(request))) {
        if (!(name in ovh.delays) || typeof value !== "number") {
          throw new TamperError(
            `delays.${name}: expected one of ${Object.keys(ovh.delays).join(", ")} as a number`,
          );
        }
        ovh.delays[name as keyof typeof ovh.delays] = value;
      }
      return ovh.delays;
    },
    ...withBody(ovhTampering(ovh)),
    ...withBody(cloudflareTampering(cloudflare)),
  });

  const server = await serveApi({
    api: "management",
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    basePaths: [""],
    calls: new CallLog(),
    faults: new Faults(),
    clock: systemClock,
    headers: () => ({}),
    answer: async (request) => {
      const found = router.find(request.method, request.path);
      if (found.kind !== "found") return { status: 404, body: { message: `no such path: ${request.path}` } };
      try {
        const body: unknown = await found.handler(request, found.params);
        if (request.method !== "GET") options.onChange?.();
        return { status: 200, body: structuredClone(body) ?? null };
      } catch (error) {
        return { status: 400, body: { message: error instanceof Error ? error.message : String(error) } };
      }
    },
  });
  return { url: server.origin, close: () => server.close() };
}

type Tampering = Readonly<
  Record<
    string,
    (body: Readonly<Record<string, unknown>>, params: Readonly<Record<string, string>>) => unknown
  >
>;

function withBody(tampering: Tampering): Routes {
  return Object.fromEntries(
    Object.entries(tampering).map(([route, act]) => [
      route,
      (request: ApiRequest, params: Readonly<Record<string, string>>) => act(readJson(request), params),
    ]),
  );
}

function readJson(request: ApiRequest): Readonly<Record<string, unknown>> {
  if (request.rawBody === "") return {};
  const value: unknown = JSON.parse(request.rawBody);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TamperError("expected a JSON object");
  }
  return value as Readonly<Record<string, unknown>>;
}
