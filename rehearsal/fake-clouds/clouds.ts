import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

import { ANTHROPIC_HOST, anthropicApi } from "./anthropic/server.ts";
import { CallLog } from "./api/calls.ts";
import type { ServedApi } from "./api/server.ts";
import { type FakeCloudflare, startCloudflare } from "./cloudflare/server.ts";
import { readRecord, requireRoom } from "./cloudflare/records.ts";
import type { CloudflareState } from "./cloudflare/state.ts";
import { type Configuration, MODERATE_DELAYS, PORTS } from "./configuration.ts";
import { DockerApi } from "./machine/docker-api.ts";
import { S3Store } from "./machine/object-store.ts";
import { DockerMachine, type Place } from "./machine/docker-machine.ts";
import { type DnsServer, startDns } from "./dns/server.ts";
import { cloudflareZones, mergeZones, ovhZones } from "./dns/zones.ts";
import { Faults } from "./api/faults.ts";
import { GOOGLE_HOSTS, googleApi } from "./google/server.ts";
import { type Machine, NoMachine } from "./machine/machine.ts";
import { type Management, startManagement } from "./management/server.ts";
import { machineSpec, type ServerAddress } from "./ovh/context.ts";
import { type FakeOvh, type OvhOptions, startOvh } from "./ovh/server.ts";
import type { OvhState } from "./ovh/state.ts";
import { VOYAGE_HOST, voyageApi } from "./voyage/server.ts";
import { startWebhooks, type WebhooksOptions } from "./webhooks.ts";

// In the rehearsal's internet, where nothing has this address.
const PROXY_ADDRESSES = ["198.51.100.104"];

interface SavedState {
  readonly ovh: OvhState;
  readonly cloudflare: CloudflareState;
}

export interface Clouds {
  readonly ovh: FakeOvh;
  readonly cloudflare: FakeCloudflare;
  readonly dns: DnsServer;
  readonly management: Management;
  close(): Promise<void>;
}

/** Starts all fake services; `stateFile` keeps their state over a restart. */
export async function startClouds(configuration: Configuration, stateFile?: string): Promise<Clouds> {
  const host = configuration.listen ?? "::";
  const ports = { ...PORTS, ...configuration.ports };
  const calls = new CallLog();
  const faults = new Faults();
  const saved = stateFile !== undefined && existsSync(stateFile) ? read(stateFile) : undefined;
  const proxyAddresses = configuration.cloudflare.proxyAddresses ?? PROXY_ADDRESSES;
  const machine = makeMachine(configuration);

  const started: { ovh?: FakeOvh; cloudflare?: FakeCloudflare } = {};
  const save = (): void => {
    if (stateFile === undefined || !started.ovh || !started.cloudflare) return;
    write(stateFile, { ovh: started.ovh.state, cloudflare: started.cloudflare.state });
  };

  const cloudflare = await startCloudflare({
    ...{ host, port: ports.cloudflare, calls, faults, onChange: save },
    zones: [configuration.cloudflare.zone],
    tokens: [{ token: configuration.cloudflare.token }, ...(configuration.cloudflare.tokens ?? [])],
    ...(saved && { state: saved.cloudflare }),
  });
  const ovh = await startOvh({
    ...ovhOptions(configuration),
    ...{ host, port: ports.ovh, calls, faults, machine, onChange: save },
    resolve: (name) => dns.resolve(name),
    ...(saved && { state: saved.ovh }),
  });
  const dns = await startDns({
    ...{ host, port: ports.dns },
    zones: () => mergeZones([...ovhZones(ovh.state), ...cloudflareZones(cloudflare.state, proxyAddresses)]),
    ...(configuration.dns.names && { names: configuration.dns.names }),
    ...(configuration.dns.keepsAbsence === true && { keepsAbsence: Date.now }),
    ...(configuration.dns.upstream !== undefined && { upstream: { address: configuration.dns.upstream } }),
  });
  const vendors = await startVendors(configuration, { host, port: ports.webhooks, calls, faults });
  if (!saved) {
    addFirstRecords(configuration, cloudflare.state);
    await deliverFirstServers(configuration, ovh, machine);
  }
  // Nothing is saved before that is done: killed meanwhile, the next start begins anew.
  Object.assign(started, { ovh, cloudflare });
  // Last: whoever gets an answer from it finds everything in its place.
  const management = await startManagement({
    ...{ host, port: ports.management, ovh, cloudflare, dns, calls, faults, onChange: save },
  });
  save();

  return {
    ovh,
    cloudflare,
    dns,
    management,
    close: async () => {
      await management.close();
      await ovh.close();
      await cloudflare.close();
      await vendors?.close();
      await dns.close();
      save();
    },
  };
}

/** The options of OVH's API that the configuration gives. */
function ovhOptions({ ovh, machine, store }: Configuration): OvhOptions {
  const { applicationKey, applicationSecret, consumerKey, rules, credentials = [], zones, delays } = ovh;
  const { clockSkewSeconds, ruleConflictStatus } = ovh;
  return {
    credentials: [
      { kind: "keys", applicationKey, applicationSecret, consumerKey, ...(rules && { rules }) },
      ...credentials,
    ],
    delays: { ...MODERATE_DELAYS, ...delays },
    ...(machine && {
      addresses: machine.places.map(addressOf),
      images: machine.systems ?? Object.keys(machine.images),
    }),
    ...(zones && { zones }),
    ...(ovh.projects && { projects: ovh.projects }),
    ...(store && { store: new S3Store({ ...store, docker: new DockerApi() }) }),
    ...(clockSkewSeconds !== undefined && { clockSkewSeconds }),
    ...(ruleConflictStatus !== undefined && { ruleConflictStatus }),
  };
}

/** Webhooks, and the APIs that answer under their vendors' host names; nothing without a certificate for them. */
async function startVendors(
  configuration: Configuration,
  listening: Pick<WebhooksOptions, "host" | "port" | "calls" | "faults">,
) {
  const { webhooks: tls } = configuration;
  return tls && (await startWebhooks({ ...listening, tls, byHost: namedApis(configuration) }));
}

function namedApis({ voyage, anthropic, google }: Configuration): Readonly<Record<string, ServedApi>> {
  const served = googleApi(google ?? { accounts: [], processors: [] });
  return {
    [VOYAGE_HOST]: voyageApi(voyage ?? { keys: [] }),
    [ANTHROPIC_HOST]: anthropicApi(anthropic ?? { keys: [] }),
    ...Object.fromEntries(GOOGLE_HOSTS.map((name) => [name, served])),
  };
}

function makeMachine({ machine }: Configuration): Machine {
  if (!machine) return new NoMachine();
  return new DockerMachine({ ...machine, docker: new DockerApi() });
}

function addFirstRecords({ cloudflare: { records = [] } }: Configuration, { zones }: CloudflareState): void {
  const now = new Date().toISOString();
  for (const zone of zones) {
    for (const record of records) {
      const read = readRecord(zone, record, undefined, now);
      requireRoom(zone, read);
      zone.records.push(read);
    }
  }
}

async function deliverFirstServers(
  configuration: Configuration,
  ovh: FakeOvh,
  machine: Machine,
): Promise<void> {
  for (const { planCode, ...given } of configuration.ovh.servers ?? []) {
    await machine.deliver(machineSpec(ovh.addServer(planCode, given)));
  }
}

function addressOf({ ipv4, ipv6, gateway, gateway6, datacentre }: Place): ServerAddress {
  return {
    ...{ ipv4, ipv6, ipv4Gateway: gateway, ipv6Gateway: gateway6 ?? ipv6.replace(/[^:]*$/, "1") },
    ...(datacentre !== undefined && { datacentre }),
  };
}

function read(stateFile: string): SavedState {
  return JSON.parse(readFileSync(stateFile, "utf8")) as SavedState;
}

// Written to another file and then renamed: a killed process leaves the old state or the new one.
function write(stateFile: string, state: SavedState): void {
  const fresh = `${stateFile}.new`;
  writeFileSync(fresh, JSON.stringify(state), { mode: 0o600 });
  renameSync(fresh, stateFile);
}
