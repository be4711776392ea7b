import { randomBytes, randomInt } from "node:crypto";

import { type ApiServer, serveApi } from "../api/server.ts";
import { CallLog } from "../api/calls.ts";
import { type Clock, systemClock } from "../clock.ts";
import { Faults } from "../api/faults.ts";
import { Jobs } from "../jobs.ts";
import { type Machine, NoMachine } from "../machine/machine.ts";
import { type ApiAnswer, type ApiRequest, Router } from "../api/routes.ts";
import { accountRoutes } from "./account.ts";
import { authenticate, type Credential, isSigned } from "./auth.ts";
import { cartRoutes } from "./carts.ts";
import { OPERATING_SYSTEMS } from "./catalogue.ts";
import { type Delays, enforce, NO_DELAYS, type OvhContext, type ServerAddress } from "./context.ts";
import { firewallJobs, firewallRoutes } from "./firewall.ts";
import { notFound, OvhError } from "./errors.ts";
import { makeServer, orderJobs, orderRoutes } from "./orders.ts";
import { NoStore, type ObjectStore } from "../machine/object-store.ts";
import { storageJobs, storageRoutes } from "./storage.ts";
import { reverseRoutes } from "./reverse.ts";
import { freshState, type OvhState, type VpsService } from "./state.ts";
import { vpsJobs, vpsRoutes } from "./vps.ts";
import { zoneJobs, zoneRoutes } from "./zone.ts";

/** The keys that are accepted when no others are given. */
export const DEFAULT_CREDENTIAL = {
  kind: "keys",
  applicationKey: "rehearsal0AppKey",
  applicationSecret: "rehearsal-application-secret-0001",
  consumerKey: "rehearsal-consumer-key-0000000001",
} as const satisfies Credential;

/** Need no signature; a signature that is given is checked. */
const PUBLIC_ROUTES = [
  /^GET \/auth\/time$/,
  /^GET \/order\/catalog\//,
  /^GET \/vps\/order\/rule\//,
  /^POST \/order\/cart$/,
  /^(GET|DELETE) \/order\/cart\/[^/]+$/,
  /^(GET|POST) \/order\/cart\/[^/]+\/(vps|item)(\/.*)?$/,
];
/** Clients call it before they know their keys. */
const UNCHECKED = /^GET \/auth\/time$/;

export interface OvhOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** @default a free one */
  readonly port?: number;
  /** @default DEFAULT_CREDENTIAL */
  readonly credentials?: readonly Credential[];
  /** @default the machine's own */
  readonly clock?: Clock;
  /** How far OVH's clock is ahead of ours. @default 0 */
  readonly clockSkewSeconds?: number;
  /** How far a timestamp may be off. @default 30 */
  readonly clockToleranceSeconds?: number;
  /** @default no delay, though every slow state is still passed through */
  readonly delays?: Partial<Delays>;
  /** @default NoMachine */
  readonly machine?: Machine;
  /** Addresses that servers get, in this order. @default 203.0.113.10 and those after it */
  readonly addresses?: readonly ServerAddress[];
  /** Operating systems that can be installed. @default those of the catalogue */
  readonly images?: readonly string[];
  /** Ids of the account's Public Cloud projects. @default none */
  readonly projects?: readonly string[];
  /** What keeps the objects. @default NoStore */
  readonly store?: ObjectStore;
  /** DNS zones of the account. @default none */
  readonly zones?: readonly string[];
  /** @default 400 */
  readonly ruleConflictStatus?: 400 | 409;
  /** @default looks at the account's own zones */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /** State to go on with, as `FakeOvh.state` was. @default an account without servers */
  readonly state?: OvhState;
  /** Called whenever the state may have changed. */
  readonly onChange?: (state: OvhState) => void;
  readonly calls?: CallLog;
  readonly faults?: Faults;
}

export interface FakeOvh {
  /** Endpoint for clients: ends in `/1.0`, without a slash. */
  readonly url: string;
  readonly state: OvhState;
  /** May be changed at any time; a state under way keeps its old delay. */
  readonly delays: Delays;
  readonly calls: CallLog;
  readonly faults: Faults;
  readonly context: OvhContext;
  /** Adds a running server to the account without an order and without a machine. */
  addServer(planCode?: string, given?: Partial<VpsService>): VpsService;
  /** Resolves when no slow state is under way. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Starts an OVH API with one customer account behind it. */
export async function startOvh(options: OvhOptions = {}): Promise<FakeOvh> {
  const clock = options.clock ?? systemClock;
  const calls = options.calls ?? new CallLog();
  const faults = options.faults ?? new Faults();
  const state =
    options.state ??
    freshState(
      { zones: options.zones ?? [], projects: options.projects ?? [] },
      { firstId: randomInt(10_000_000, 99_000_000), now: clock.now() },
    );
  // A state of an earlier version has none.
  state.projects ??= (options.projects ?? []).map((id) => ({ id, users: [], buckets: [] }));
  const context = makeContext(options, clock, state);
  const answer = makeAnswer(options, context);
  for (const firewall of state.firewalls) await enforce(context, firewall);

  const server: ApiServer = await serveApi({
    api: "ovh",
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    basePaths: ["/1.0", "/v1"],
    calls,
    faults,
    clock,
    answer,
    headers: () => ({
      "x-ovh-queryid": `EU.ext-1.${randomBytes(4).toString("hex")}.${randomInt(1e6)}.${randomBytes(16).toString("hex")}`,
    }),
  });
  return {
    url: `${server.origin}/1.0`,
    state,
    delays: context.delays,
    calls,
    faults,
    context,
    addServer: (planCode = "vps-2027-model2", given = {}) => {
      const added = makeServer(context, planCode, given);
      state.servers.push(added);
      options.onChange?.(state);
      return added;
    },
    settled: () => context.jobs.settled(),
    close: async () => {
      await server.close();
      await context.jobs.stop();
    },
  };
}

function makeContext(options: OvhOptions, clock: Clock, state: OvhState): OvhContext {
  const handlers = {};
  const jobs = new Jobs({ list: state, clock, handlers, onChange: () => options.onChange?.(state) });
  const context: OvhContext = {
    state,
    clock,
    jobs,
    delays: { ...NO_DELAYS, ...options.delays },
    machine: options.machine ?? new NoMachine(),
    store: options.store ?? new NoStore(),
    addresses: options.addresses ?? documentationAddresses(),
    images: options.images ?? OPERATING_SYSTEMS,
    ruleConflictStatus: options.ruleConflictStatus ?? 400,
    resolve: options.resolve ?? ((name) => Promise.resolve(publishedAddresses(state, name))),
  };
  Object.assign(
    handlers,
    orderJobs(context),
    vpsJobs(context),
    firewallJobs(context),
    zoneJobs(context),
    storageJobs(context),
  );
  return context;
}

function makeAnswer(options: OvhOptions, context: OvhContext): (request: ApiRequest) => Promise<ApiAnswer> {
  const time = (): number => Math.floor(context.clock.now() / 1000) + (options.clockSkewSeconds ?? 0);
  const callers = new WeakMap<ApiRequest, Credential>();
  const callerOf = (request: ApiRequest): Credential => callers.get(request) ?? DEFAULT_CREDENTIAL;
  const router = new Router({
    ...accountRoutes(context, time, callerOf),
    ...cartRoutes(context),
    ...orderRoutes(context),
    ...vpsRoutes(context),
    ...firewallRoutes(context),
    ...reverseRoutes(context),
    ...zoneRoutes(context),
    ...storageRoutes(context),
  });
  const auth = {
    credentials: options.credentials ?? [DEFAULT_CREDENTIAL],
    time,
    toleranceSeconds: options.clockToleranceSeconds ?? 30,
  };

  return async (request) => {
    try {
      const found = router.find(request.method, request.path);
      if (found.kind === "unknown") throw notFound("Got an invalid (or empty) URL");
      if (found.kind === "wrongMethod") {
        throw new OvhError(405, { class: "Client::MethodNotAllowed", message: "Method not allowed" });
      }
      const line = `${request.method} ${request.path}`;
      const isPublic = PUBLIC_ROUTES.some((route) => route.test(line));
      if (!UNCHECKED.test(line) && (!isPublic || isSigned(request))) {
        callers.set(request, authenticate(request, auth));
      }
      // Copied, because what is answered must not change while it is being sent.
      const body: unknown = structuredClone(await found.handler(request, found.params));
      options.onChange?.(context.state);
      return { status: 200, body };
    } catch (error) {
      if (error instanceof OvhError) return { status: error.status, body: error.body };
      const message = error instanceof Error ? error.message : String(error);
      return { status: 500, body: { class: "Server::InternalServerError", message } };
    }
  };
}

function documentationAddresses(): readonly ServerAddress[] {
  return Array.from({ length: 40 }, (_, index) => ({
    ipv4: `203.0.113.${10 + index}`,
    ipv6: `2001:db8:113::${(16 + index).toString(16)}`,
    ipv4Gateway: "203.0.113.254",
    ipv6Gateway: "2001:db8:113::1",
  }));
}

function publishedAddresses(state: OvhState, name: string): readonly string[] {
  const wanted = name.toLowerCase().replace(/\.$/, "");
  return state.zones.flatMap((zone) =>
    zone.published
      .filter((record) => record.fieldType === "A" || record.fieldType === "AAAA")
      .filter((record) => [record.subDomain, zone.name].filter(Boolean).join(".").toLowerCase() === wanted)
      .map((record) => record.target),
  );
}
