/** Stand-ins for what a check reaches: an engine that gives recorded events, a server, and a vendor's API. */
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

import { stringify } from "yaml";

import { readEvents, type StepMetadata } from "../../../ops/engine/events.ts";
import type { Server, ServerCommand } from "../../../ops/server/connection.ts";
import { UserError } from "../../../common/user-error.ts";
import { DECLARATION_TYPE } from "../../../stacks/declaration-record.ts";
import { fakePulumi, type Answer } from "../../support/fake-pulumi.ts";
import { validSettings } from "../../support/fixtures.ts";

export async function recorded(name: string): Promise<string> {
  const file = new URL(`recorded/${name}.jsonl.gz`, import.meta.url);
  return gunzipSync(await readFile(file)).toString();
}

export async function recordedSteps(name: string): Promise<StepMetadata[]> {
  return readEvents(await recorded(name)).flatMap(({ resOutputsEvent }) =>
    resOutputsEvent ? [resOutputsEvent.metadata] : [],
  );
}

/** The same run once everything is as it was deployed. */
export async function recordedAsRepaired(name: string): Promise<string> {
  const events = (await recordedSteps(name)).map((metadata) => ({
    resOutputsEvent: {
      metadata: { ...metadata, op: "same", new: metadata.old, diffs: null, detailedDiff: null },
    },
  }));
  return `${events.map((event) => JSON.stringify(event)).join("\n")}\n`;
}

export const ZONE_ID = "0123456789abcdef0123456789abcdef";

export interface EngineOptions {
  /** Events of the first, second, … run of a refresh. */
  readonly runs: readonly { readonly log: string; readonly failure?: string }[];
  readonly state: unknown;

  /** Events of the repair's preview. */
  readonly plan?: string;

  /** Events of what the program declares. @default as the state says */
  readonly declared?: string;

  /** What the program fails with. */
  readonly programFailure?: string;

  /** What the program says of itself. @default as the state has it */
  readonly record?: object | string;

  /** What there is once `up` has run. @default the same */
  readonly updated?: { readonly state: unknown; readonly plan: string };
  readonly cloudflareUrl?: string;
  readonly settings?: Record<string, unknown>;
  /** What `up` fails with. */
  readonly upFailure?: { readonly stdout: string };
}

/** A stack whose drift `up` repairs. */
export function fakeEngine(options: EngineOptions) {
  let run = 0;
  let isUpdated = false;
  return fakePulumi((args) => {
    const [command = "", second] = args;
    const updated = isUpdated ? options.updated : undefined;
    if (command === "stack" && second === "export")
      return { stdout: JSON.stringify(withRecord(updated?.state ?? options.state, options)) };
    if (command === "config")
      return { stdout: JSON.stringify(configOf(options, args.includes("--show-secrets"))) };
    if (command === "refresh") {
      const { log = "", failure } = options.runs[Math.min(run++, options.runs.length - 1)] ?? {};
      return { ...(log && { events: log }), ...(failure !== undefined && { stderr: failure }) };
    }
    if (command === "preview" && !args.includes("--refresh")) return declarationOf(options, isUpdated);
    if (command === "preview") return { events: updated?.plan ?? options.plan ?? "" };
    if (command !== "up") throw new Error(`unexpected: pulumi ${args.join(" ")}`);
    isUpdated = options.upFailure === undefined;
    return options.upFailure ? { ...options.upFailure, stderr: "" } : {};
  });
}

function declarationOf({ declared = "", programFailure, record }: EngineOptions, isUpdated: boolean): Answer {
  if (programFailure !== undefined) return { stdout: `error: ${programFailure}\n`, stderr: "" };
  // An update gives the state what the program declares.
  return { events: `${isUpdated ? "" : declared}${declarationEvent(record)}` };
}

/** The state with the settings that the stack has, where the test names none. */
function withRecord(state: unknown, options: EngineOptions): unknown {
  const { deployment } = state as { readonly deployment?: { readonly resources?: readonly Entry[] } };
  const resources = deployment?.resources?.map((resource) => {
    const isOpen = resource.type === DECLARATION_TYPE && resource.outputs?.["settings"] === undefined;
    return isOpen
      ? { ...resource, outputs: { ...resource.outputs, settings: settingsOf(options) } }
      : resource;
  });
  return { ...(state as object), deployment: { ...deployment, ...(resources && { resources }) } };
}

interface Entry {
  readonly type: string;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

export const RECORD = { basis: "the deployed program", digests: {} };

/** What the program says of itself at the end. */
export function declarationEvent(record: object | string = RECORD): string {
  if (typeof record === "string") return record;
  const metadata = { op: "same", urn: DECLARATION_URN, type: DECLARATION_TYPE, new: { outputs: record } };
  return `${JSON.stringify({ resOutputsEvent: { metadata } })}\n`;
}

const DECLARATION_URN = `urn:pulumi:test::technicia::${DECLARATION_TYPE}::declaration`;

/** Settings as the engine gives them to the program. */
export function settingsOf(
  options: Pick<EngineOptions, "cloudflareUrl" | "settings">,
): Record<string, string> {
  const entries = Object.entries(configOf(options, false)).flatMap(([name, { secret, value }]) =>
    secret ? [] : [[name, value ?? ""] as const],
  );
  return Object.fromEntries(entries);
}

function configOf(
  { cloudflareUrl, settings = {} }: Pick<EngineOptions, "cloudflareUrl" | "settings">,
  clear: boolean,
): Record<string, { readonly secret: boolean; readonly value?: string }> {
  const all = { ...validSettings(), ...settings };
  const dns = {
    ...(all["dns"] as object),
    zoneId: ZONE_ID,
    cloudflareBaseUrl: cloudflareUrl ?? "http://127.0.0.1:9",
  };
  const entries = Object.entries({ ...all, dns }).map(([name, value]) => {
    const text = typeof value === "object" ? JSON.stringify(value) : stringify(value).trim();
    return [`technicia:${name}`, { secret: false, value: text }] as const;
  });
  const token = { secret: true, ...(clear ? { value: TOKEN } : {}) };
  return Object.fromEntries([...entries, ["technicia:cloudflareApiToken", token] as const]);
}

export const TOKEN = "cloudflare-token-of-a-test-0000000000000001";

/** A state with these resources, as `pulumi stack export` prints it. */
export function stateOf(
  resources: readonly { urn: string; type: string; [key: string]: unknown }[],
  more: object = {},
) {
  const stack = {
    urn: "urn:pulumi:test::technicia::pulumi:pulumi:Stack::technicia-test",
    type: "pulumi:pulumi:Stack",
    outputs: { deploymentStatus: {} },
  };
  const connection = {
    urn: "urn:pulumi:test::technicia::technicia:infra:Host$pulumi:providers:technicia::host-connection",
    type: "pulumi:providers:technicia",
    custom: true,
    inputs: {
      hostAddress: "203.0.113.10",
      hostPort: "22",
      hostUser: "debian",
      hostPrivateKeyFile: "/project/key",
      hostKey: "ssh-ed25519 AAAA",
    },
  };
  const declaration = { urn: DECLARATION_URN, type: DECLARATION_TYPE, outputs: RECORD };
  const all = [
    stack,
    connection,
    ...resources.map((resource) => ({ custom: true, ...resource })),
    declaration,
  ];
  return { deployment: { resources: all, ...more } };
}

/** The resources of a recording, each with its state before. */
export async function stateOfRecording(name: string) {
  const steps = await recordedSteps(name);
  const resources = steps
    .filter(({ old, type }) => old?.custom === true && !type.startsWith("pulumi:"))
    .map(({ urn, type, old }) => ({ urn, type, inputs: old?.inputs, outputs: old?.outputs }));
  return stateOf(resources);
}

export interface FakeServer extends Server {
  readonly commands: ServerCommand[];
  dockerLogins: number;
  closed: number;
}

/** `lock`: what the lock's folder answers; `problem`: why nobody gets in. */
export function fakeServer(
  options: {
    readonly lock?: string;
    readonly problem?: string;
    readonly since?: string;
    /** What waits for a maintenance. */
    readonly upgrades?: string;
    /** What the monitoring answers to a request. */
    readonly monitoring?: (request: string) => string;
    /** Whether it is known to answer before it is known whether it lets us in. */
    readonly answersFirst?: boolean;
  } = {},
): FakeServer {
  const commands: ServerCommand[] = [];
  const server: FakeServer = {
    name: "debian@203.0.113.10:22",
    commands,
    dockerLogins: 0,
    closed: 0,
    run(command) {
      commands.push(command);
      if (options.answersFirst === true) command.onAnswer?.();
      if (options.problem !== undefined) return Promise.reject(new UserError(options.problem));
      if (options.monitoring !== undefined && command.purpose.endsWith("of the monitoring"))
        return Promise.resolve({ stdout: options.monitoring(command.stdin ?? ""), stderr: "" });
      const stdout = /lock/.test(command.purpose)
        ? (options.lock ?? "")
        : /since/.test(command.purpose)
          ? (options.since ?? "")
          : /upgrades/.test(command.purpose)
            ? (options.upgrades ?? "")
            : "";
      return Promise.resolve({ stdout, stderr: "" });
    },
    logInForDocker() {
      server.dockerLogins += 1;
      return Promise.resolve();
    },
    close() {
      server.closed += 1;
    },
  };
  return server;
}
