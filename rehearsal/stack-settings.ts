import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { type Document, parse, parseDocument } from "yaml";

import { builtServices, type BuiltService } from "../common/services.ts";
import { type AiAccounts, createAiAccounts, PROCESSOR } from "./ai-accounts.ts";
import { listOf, type Shape } from "./fleet.ts";
import type { System } from "./images/catalog.ts";
import { MAIL_HOST, MAIL_USER } from "./mail.ts";
import { operatorPublicKey } from "./operator-files.ts";
import { REGISTRY, REGISTRY_USER } from "./own-registry.ts";
import type { RehearsedSource, RehearsedSources } from "./services-repository.ts";
import { INTERNET, ROOT, STATE, STORAGE_REGION, ZONE } from "./addresses.ts";
import { createWebhooks } from "./webhooks.ts";

/** What a user would enter into `Pulumi.<stack>.yaml`, and what has to differ from the committed file in the rehearsal. */
export interface Answers {
  readonly publicKey: string;

  /** Operating system of the server, as OVH names it. */
  readonly system: System;

  /** OVH's name of a server that is there already; undefined where one is ordered. */
  readonly serviceName: string | undefined;

  /** How many servers there are. */
  readonly servers: Shape;

  /** Images that are available under another tag than the committed one. */
  readonly images: Readonly<Record<string, string>>;

  /** Where TechnicIA's own services are built from; undefined before that is known. */
  readonly sources: RehearsedSources | undefined;

  /** Whether the images of the monitoring are still being made. @default false */
  readonly lacksMonitoring?: boolean;

  /** The environment that this one watches. @default none */
  readonly neighbour?: { readonly stack: string; readonly url: string; readonly trusted: boolean };

  /** Whether it is there to be a neighbour: then it has no backups and no swap. @default false */
  readonly isSmall?: boolean;
}

/** Credentials of the rehearsal's accounts: valid at the fake clouds and nowhere else. */
export interface Accounts extends AiAccounts {
  readonly ovhApplicationKey: string;
  readonly ovhApplicationSecret: string;
  /** Of the key for a server that exists. */
  readonly ovhConsumerKey: string;
  /** Of the key that orders the server and makes the bucket of the backups; only a first deployment uses it. */
  readonly ovhFirstConsumerKey: string;
  readonly cloudflareApiToken: string;
  readonly zoneId: string;
  readonly registryPassword: string;
  /** Of the account that sends alerts by mail. */
  readonly smtpPassword: string;
  readonly slackUrl: string;
  readonly pagerUrl: string;
  readonly pagerDutyKey: string;
  /** With which both environments tell each other that they live, where there are two. */
  readonly neighbourToken: string;
  /** Public Cloud project of the backups. */
  readonly ovhProject: string;
  /** Of whoever administers the object storage itself, which is OVH and no operator. */
  readonly storageAccessKeyId: string;
  readonly storageSecretAccessKey: string;
}

/** Accounts of this rehearsal, created once. */
export async function ensureAccounts(): Promise<Accounts> {
  const path = join(STATE, "accounts.json");
  const known = existsSync(path) ? (JSON.parse(await readFile(path, "utf8")) as Partial<Accounts>) : {};
  const hex = (bytes: number) => randomBytes(bytes).toString("hex");
  const accounts: Accounts = {
    ovhApplicationKey: hex(8),
    ovhApplicationSecret: hex(16),
    ovhConsumerKey: hex(16),
    ovhFirstConsumerKey: hex(16),
    cloudflareApiToken: hex(20),
    zoneId: hex(16),
    ...createAiAccounts(),
    registryPassword: hex(16),
    smtpPassword: hex(16),
    ...createWebhooks(),
    neighbourToken: hex(20),
    ovhProject: hex(16),
    storageAccessKeyId: hex(10),
    storageSecretAccessKey: hex(20),
    ...known,
  };
  await writeFile(path, JSON.stringify(accounts), { mode: 0o600 });
  return accounts;
}

export function domainOf(stack: string): string {
  return `${stack}.${ZONE}`;
}

/**
 * Writes the settings of one rehearsed stack: the committed file with a user's answers.
 *
 * Secrets that an earlier run encrypted stay; a changed committed value replaces the old one.
 */
export async function ensureSettings({
  stack,
  accounts,
  ...available
}: Omit<Answers, "publicKey"> & {
  readonly stack: string;
  readonly accounts: Accounts;
}): Promise<void> {
  const answers = { publicKey: await operatorPublicKey(), ...available };
  const written = join(STATE, `Pulumi.${stack}.yaml`);
  const document = await committedSettings(stack);
  renderSettings(document, { stack, accounts, ...answers });
  if (existsSync(written)) {
    const earlier: unknown = parse(await readFile(written, "utf8"));
    keepSecrets(document, earlier);
    keepBuilt(document, earlier, answers);
  }
  await writeFile(written, document.toString());
}

/** A stack's committed settings. What is written into them keeps its quotes where the engine needs them, such as around a day. */
export async function committedSettings(stack: string): Promise<Document> {
  return parseDocument(await readFile(join(ROOT, `Pulumi.${stack}.yaml`), "utf8"), { compat: "yaml-1.1" });
}

/** Writes a user's answers into a stack's committed settings. */
export function renderSettings(
  document: Document,
  {
    stack,
    accounts,
    ...answers
  }: Answers & { readonly stack: string; readonly accounts: Pick<Accounts, "zoneId" | "ovhProject"> },
): void {
  const isMonitored = isMonitoredIn(document.toJS());
  const changes = [
    ...userValues(stack, answers, accounts),
    ...(isMonitored ? MONITORING_VALUES : []),
    ...(readsDocumentsIn(document.toJS()) ? GOOGLE_VALUES : []),
    ...neighbourValues(answers),
    ...differences({ ...answers, lacksMonitoring: isMonitored && answers.lacksMonitoring === true }),
  ];
  for (const [path, value] of changes) document.setIn(["config", ...path], value);
}

/** Whether a stack's settings switch the monitoring on: the committed ones, or those in another folder. */
export async function isMonitored(stack: string, folder: string = ROOT): Promise<boolean> {
  return isMonitoredIn(parse(await readFile(join(folder, `Pulumi.${stack}.yaml`), "utf8")));
}

function isMonitoredIn(settings: unknown): boolean {
  const { config } = settings as { config?: Record<string, { enabled?: unknown } | undefined> };
  return config?.["technicia:monitoring"]?.enabled === true;
}

/** Whether a stack's committed settings switch on a service that calls Google. */
export async function readsDocuments(stack: string): Promise<boolean> {
  return readsDocumentsIn(parse(await readFile(join(ROOT, `Pulumi.${stack}.yaml`), "utf8")));
}

function readsDocumentsIn(settings: unknown): boolean {
  const { config } = settings as {
    config?: Record<string, Record<string, { enabled?: unknown } | undefined> | undefined>;
  };
  const services = config?.["technicia:services"];
  return [services?.["documentProcessor"], services?.["visionClassifier"]].some(
    (service) => service?.enabled === true,
  );
}

/** Whether a stack's committed settings have all that an answer from an uploaded document takes. */
export async function answersQuestions(stack: string): Promise<boolean> {
  const { config } = parse(await readFile(join(ROOT, `Pulumi.${stack}.yaml`), "utf8")) as {
    config?: Record<string, { enabled?: unknown; documentProcessor?: { enabled?: unknown } } | undefined>;
  };
  return [
    config?.["technicia:workflows"],
    config?.["technicia:documents"],
    config?.["technicia:services"]?.documentProcessor,
  ].every((part) => part?.enabled === true);
}

/** Names of the secrets that a stack's settings hold already. */
export async function secretsSet(stack: string): Promise<ReadonlySet<string>> {
  const { config = {} } = parse(await readFile(join(STATE, `Pulumi.${stack}.yaml`), "utf8")) as {
    config?: Record<string, unknown>;
  };
  return new Set(Object.keys(config).map((key) => key.replace(/^technicia:/, "")));
}

function keepSecrets(document: Document, earlier: unknown): void {
  const { encryptionsalt, config } = earlier as { encryptionsalt?: string; config?: Record<string, unknown> };
  if (encryptionsalt !== undefined) document.set("encryptionsalt", encryptionsalt);
  for (const [key, value] of Object.entries(config ?? {})) {
    const isSecret = typeof value === "object" && value !== null && "secure" in value;
    if (isSecret) document.setIn(["config", key], value);
  }
}

/** Images that were built from the same commit stay pinned, as in a settings file that a user has committed. */
function keepBuilt(document: Document, earlier: unknown, { sources }: Pick<Answers, "sources">): void {
  for (const service of missingBuilds({ config: {} }, sources)) {
    const image = imageIn(earlier, service);
    if (image !== undefined && isBuiltFrom(image, sources?.[service]))
      document.setIn(["config", "technicia:images", service], image);
  }
}

/** Services whose image in the settings is not the one built from their source. */
export function missingBuilds(settings: unknown, sources: RehearsedSources | undefined): BuiltService[] {
  if (sources === undefined) return [];
  return builtServices.filter((service) => !isBuiltFrom(imageIn(settings, service), sources[service]));
}

function imageIn(settings: unknown, service: BuiltService): string | undefined {
  const { config } = settings as { config?: Record<string, Record<string, string> | undefined> };
  return config?.["technicia:images"]?.[service];
}

function isBuiltFrom(image: string | undefined, source: RehearsedSource | undefined): boolean {
  return source !== undefined && image?.includes(`:${source.commit.slice(0, 12)}@sha256:`) === true;
}

type Change = readonly [path: readonly string[], value: unknown];

/** What the head of `Pulumi.<stack>.yaml` asks a user to fill in. */
function userValues(
  stack: string,
  { publicKey, serviceName, servers, sources, isSmall = false }: Answers,
  { zoneId, ovhProject }: Pick<Accounts, "zoneId" | "ovhProject">,
): Change[] {
  return [
    [["technicia:domain"], domainOf(stack)],
    [["technicia:adminEmail"], `equipe@${ZONE}`],
    serverValue({ serviceName, servers }),
    [["technicia:ssh", "publicKey"], publicKey],
    [["technicia:ssh", "adminCidrs", "v4"], [`${INTERNET.operator}/32`]],
    [["technicia:ssh", "adminCidrs", "v6"], [`${INTERNET.operator6}/128`]],
    [["technicia:dns", "zone"], ZONE],
    [["technicia:dns", "zoneId"], zoneId],
    // Without a project there are no backups, and then no region is allowed either.
    ...(isSmall ? [] : [[["technicia:backup", "project"], ovhProject] as const]),
    [["technicia:backup", "region"], isSmall ? "" : STORAGE_REGION],
    // As docs/technicia-images.md says.
    [["technicia:images", "registry"], REGISTRY],
    [["technicia:images", "registryUser"], REGISTRY_USER],
    ...(sources ? [[["technicia:images", "sources"], sources] as const] : []),
  ];
}

function serverValue({ serviceName, servers }: Pick<Answers, "serviceName" | "servers">): Change {
  const list = listOf(servers);
  if (list.length > 0) return [["technicia:servers"], list];
  return serviceName === undefined
    ? [["technicia:server", "order"], { subsidiary: "FR", maxMonthlyPriceEur: 30 }]
    : [["technicia:server", "serviceName"], serviceName];
}

const onCall = (name: string): string[] => [`${name}@${ZONE}`];

/** What a user who wants to be told of alerts fills in, besides the secrets. */
export const MONITORING_VALUES: readonly Change[] = [
  [["technicia:monitoring", "mail"], { host: MAIL_HOST, from: MAIL_USER, user: MAIL_USER }],
  [
    ["technicia:monitoring", "receivers"],
    {
      slack: true,
      webhooks: [
        { name: "pager", secret: "pagerUrl", levels: ["P1"] },
        { name: "pagerduty", secret: "pagerDutyKey", format: "pagerduty-eu", levels: ["N4"] },
      ],
    },
  ],
  [
    ["technicia:monitoring", "escalation"],
    [
      { level: "N1", afterMinutes: 5, emails: onCall("astreinte") },
      { level: "N2", afterMinutes: 15, emails: onCall("responsable") },
      { level: "N3", afterMinutes: 30, emails: onCall("technique") },
      { level: "N4", afterMinutes: 60, emails: onCall("direction") },
    ],
  ],
];

/** What a user who reads documents with Google fills in, besides the key file. */
const GOOGLE_VALUES: readonly Change[] = Object.entries(PROCESSOR).map(([name, value]) => [
  ["technicia:services", "documentProcessor", name],
  value,
]);

/** What a user fills in where environments watch each other. */
function neighbourValues({ neighbour }: Pick<Answers, "neighbour">): Change[] {
  return neighbour === undefined ? [] : [[["technicia:monitoring", "neighbours"], [neighbour]]];
}

/** What the rules of the policy pack (stacks/policy) would refuse in the rehearsal. */
function exceptions({
  lacksMonitoring,
  isSmall,
  now,
}: {
  readonly lacksMonitoring: boolean;
  readonly isSmall: boolean;
  readonly now: Date;
}) {
  const tomorrow = new Date(now.getTime() + 24 * 3600 * 1000).toISOString().slice(0, 10);
  const nextYear = `${now.getUTCFullYear() + 1}-12-31`;
  return [
    ...(lacksMonitoring
      ? [{ rule: "monitoring", until: tomorrow, reason: "the images of the monitoring are still being made" }]
      : []),
    ...(isSmall
      ? [{ rule: "backups", until: nextYear, reason: "it is only there to be the first one's neighbour" }]
      : []),
  ];
}

/** Every other setting that differs from the committed file; docs/rehearsal.md gives the reason for each. */
export function differences({
  system,
  images,
  lacksMonitoring = false,
  isSmall = false,
  servers = "1",
  now = new Date(),
}: Pick<Answers, "system" | "images" | "lacksMonitoring" | "isSmall"> &
  Partial<Pick<Answers, "servers">> & {
    readonly now?: Date;
  }): Change[] {
  const excepted = exceptions({ lacksMonitoring, isSmall, now });
  return [
    [["technicia:server", "image"], system],
    [["technicia:ssh", "privateKeyFile"], join(STATE, "id_ed25519")],
    [["technicia:ssh", "addressService"], `http://${INTERNET.clouds}:8090/address`],
    [["technicia:ovh", "endpoint"], `http://${INTERNET.clouds}:8080/1.0`],
    [["technicia:dns", "cloudflareBaseUrl"], `http://${INTERNET.clouds}:8081/client/v4`],
    [["technicia:acme", "directory"], `https://${INTERNET.acme}:14000/dir`],
    [["technicia:acme", "trusted"], false],
    [["technicia:monitoring", "thresholds", "release", "diskFreePercent"], 1],
    ...Object.entries(images).map(([name, image]): Change => [["technicia:images", name], image]),
    ...(lacksMonitoring ? [[["technicia:monitoring", "enabled"], false] as const] : []),
    ...(excepted.length > 0 ? [[["technicia:policy", "exceptions"], excepted] as const] : []),
    // Swap is the machine's, and one server's file is another one's in use.
    ...(isSmall || servers !== "1" ? [[["technicia:host", "swapGib"], 0] as const] : []),
  ];
}
