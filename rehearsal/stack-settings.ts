import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { parse, parseDocument } from "yaml";

import { operatorPublicKey } from "./operator-files.ts";
import { INTERNET, ROOT, STATE, ZONE } from "./addresses.ts";

/** What a user would enter into `Pulumi.<stack>.yaml`, and what has to differ from the committed file in the rehearsal. */
export interface Answers {
  readonly publicKey: string;

  /** Images that are available under another tag than the committed one. */
  readonly images: Readonly<Record<string, string>>;
}

/** Credentials of the rehearsal's accounts: valid at the fake clouds and nowhere else. */
export interface Accounts {
  readonly ovhApplicationKey: string;
  readonly ovhApplicationSecret: string;
  readonly ovhConsumerKey: string;
  readonly cloudflareApiToken: string;
  readonly zoneId: string;
  readonly voyageApiKey: string;
  readonly anthropicApiKey: string;
}

/** Accounts of this rehearsal, created once. */
export async function ensureAccounts(): Promise<Accounts> {
  const path = join(STATE, "accounts.json");
  if (existsSync(path)) return JSON.parse(await readFile(path, "utf8")) as Accounts;
  const hex = (bytes: number) => randomBytes(bytes).toString("hex");
  const accounts: Accounts = {
    ovhApplicationKey: hex(8),
    ovhApplicationSecret: hex(16),
    ovhConsumerKey: hex(16),
    cloudflareApiToken: hex(20),
    zoneId: hex(16),
    voyageApiKey: `pa-rehearsal-${hex(16)}`,
    anthropicApiKey: `sk-ant-api03-${hex(40)}`,
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
  images,
}: {
  readonly stack: string;
  readonly accounts: Accounts;

  /** Images that are available under another tag than the committed one. */
  readonly images: Readonly<Record<string, string>>;
}): Promise<void> {
  const answers = { publicKey: await operatorPublicKey(), images };
  const written = join(STATE, `Pulumi.${stack}.yaml`);
  const document = parseDocument(await readFile(join(ROOT, `Pulumi.${stack}.yaml`), "utf8"));
  const changes = [...userValues(stack, answers, accounts), ...differences(answers)];
  for (const [path, value] of changes) document.setIn(["config", ...path], value);
  if (existsSync(written)) keepSecrets(document, parse(await readFile(written, "utf8")));
  await writeFile(written, document.toString());
}

/** Names of the secrets that a stack's settings hold already. */
export async function secretsSet(stack: string): Promise<ReadonlySet<string>> {
  const { config = {} } = parse(await readFile(join(STATE, `Pulumi.${stack}.yaml`), "utf8")) as {
    config?: Record<string, unknown>;
  };
  return new Set(Object.keys(config).map((key) => key.replace(/^technicia:/, "")));
}

function keepSecrets(document: ReturnType<typeof parseDocument>, earlier: unknown): void {
  const { encryptionsalt, config } = earlier as { encryptionsalt?: string; config?: Record<string, unknown> };
  if (encryptionsalt !== undefined) document.set("encryptionsalt", encryptionsalt);
  for (const [key, value] of Object.entries(config ?? {})) {
    const isSecret = typeof value === "object" && value !== null && "secure" in value;
    if (isSecret) document.setIn(["config", key], value);
  }
}

type Change = readonly [path: readonly string[], value: unknown];

/** What the head of `Pulumi.<stack>.yaml` asks a user to fill in. */
function userValues(stack: string, { publicKey }: Answers, { zoneId }: Accounts): Change[] {
  return [
    [["technicia:domain"], domainOf(stack)],
    [["technicia:adminEmail"], `equipe@${ZONE}`],
    [["technicia:server", "order"], { subsidiary: "FR", maxMonthlyPriceEur: 30 }],
    [["technicia:ssh", "publicKey"], publicKey],
    [["technicia:ssh", "adminCidrs", "v4"], [`${INTERNET.operator}/32`]],
    [["technicia:ssh", "adminCidrs", "v6"], [`${INTERNET.operator6}/128`]],
    [["technicia:dns", "zone"], ZONE],
    [["technicia:dns", "zoneId"], zoneId],
  ];
}

/** Every other setting that differs from the committed file; docs/rehearsal.md gives the reason for each. */
export function differences({ images }: Pick<Answers, "images">): Change[] {
  return [
    [["technicia:server", "image"], "Debian 12"],
    [["technicia:ssh", "privateKeyFile"], join(STATE, "id_ed25519")],
    [["technicia:ssh", "addressService"], `http://${INTERNET.clouds}:8090/address`],
    [["technicia:ovh", "endpoint"], `http://${INTERNET.clouds}:8080/1.0`],
    [["technicia:dns", "cloudflareBaseUrl"], `http://${INTERNET.clouds}:8081/client/v4`],
    [["technicia:acme", "directory"], `https://${INTERNET.acme}:14000/dir`],
    [["technicia:acme", "trusted"], false],
    [["technicia:operations", "thresholds", "diskFreePercent"], 1],
    [["technicia:services", "n8nRunners", "enabled"], false],
    ...Object.entries(images).map(([name, image]): Change => [["technicia:images", name], image]),
  ];
}
