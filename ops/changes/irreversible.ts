/** Changes that the next deployment cannot undo. */
import { BlockList, isIPv6 } from "node:net";

import { z } from "zod";

import { entryOf, secretNames } from "../../secrets/catalog.ts";
import { describeProperties } from "./properties.ts";
import { roleOf } from "../../stacks/inventory-servers.ts";
import type { Loss } from "../../stacks/resource-kinds.ts";
import type { Step } from "./steps.ts";

export interface Irreversible {
  readonly kind: "data" | "key" | "server" | "reinstall" | "order" | "opening" | "secret" | "protection";
  readonly resource: string;
  /** Follows the resource's name in a sentence. */
  readonly text: string;
  /** Ends the sentence: a rule, a property, a plan. */
  readonly detail?: string | undefined;
}

type Finding = Omit<Irreversible, "resource">;
type Watch = (step: Step) => Finding[];

/** In the order of their kinds. */
const WATCHES: readonly Watch[] = [
  ofLoss({ volume: watchVolume, stored: watchStored }),
  watchDatabase,
  ofLoss({ "host-key": watchHostKey, "login-keys": watchLoginKeys }),
  ofLoss({ server: watchServer }),
  ofLoss({ installation: watchInstallation }),
  ofLoss({ "edge-firewall": watchEdgeFirewall }),
  ofLoss({ "host-firewall": watchHostFirewall }),
  watchSecrets,
  watchProtection,
];

function ofLoss(watches: Partial<Record<Loss, Watch>>): Watch {
  return (step) => (step.row.loss && watches[step.row.loss]?.(step)) ?? [];
}

/** In the order of their kinds, as people should read them. */
export function findIrreversible(steps: readonly Step[]): Irreversible[] {
  return WATCHES.flatMap((watch) =>
    steps.flatMap((step) => watch(step).map((finding) => ({ ...finding, resource: step.name }))),
  );
}

function watchVolume({ kind }: Step): Finding[] {
  if (kind === "delete") return [{ kind: "data", text: "is deleted: what this volume holds is lost" }];
  return kind === "replace"
    ? [{ kind: "data", text: "is replaced by an empty volume: what it holds is lost" }]
    : [];
}

function watchStored({ kind, before }: Step): Finding[] {
  return before?.inputs["remove"] !== undefined && isRemoved(kind)
    ? [{ kind: "data", text: "is removed from the service that stores it" }]
    : [];
}

/** n8n's data moves to PostgreSQL before n8n does, unless the settings let it start empty; nothing moves it back. */
function watchDatabase({ type, kind, before, after }: Step): Finding[] {
  if (type !== "docker:index/service:Service" || (kind !== "update" && kind !== "replace")) return [];
  const [old, next] = [before?.inputs, after?.inputs].map(
    (inputs) => serviceWithDatabase.safeParse(inputs).data,
  );
  const [from, to] = [old, next].map((service) => service?.taskSpec.containerSpec.env.DB_TYPE);
  if (from === undefined || to === undefined || from === to) return [];
  const text =
    to === "postgresdb"
      ? `stands still while its data moves to PostgreSQL (${from} → ${to}), unless services.n8n.startEmpty is true; nothing moves it back`
      : `starts with an empty database (${from} → ${to}): owner, workflows and credentials stay in the one before and are not taken along`;
  return [{ kind: "data", text }];
}

const serviceWithDatabase = z.object({
  taskSpec: z.object({ containerSpec: z.object({ env: z.object({ DB_TYPE: z.string() }) }) }),
});

function watchHostKey({ kind }: Step): Finding[] {
  if (kind === "delete") {
    return [{ kind: "key", text: "is forgotten: the next server that answers at this address is trusted" }];
  }
  const text = "is read again: the server that answers at this address now is trusted afterwards";
  return kind === "replace" ? [{ kind: "key", text }] : [];
}

function watchLoginKeys({ kind }: Step): Finding[] {
  return isRemoved(kind)
    ? [{ kind: "key", text: "is removed: the people it names can no longer log in" }]
    : [];
}

function watchServer({ kind, before, after, foreseen }: Step): Finding[] {
  const endsContract = before?.inputs["deleteAtExpiry"] === true;
  const loss = endsContract
    ? "its contract ends at its expiry, with everything on its disk"
    : "it keeps running and is paid for, but is no longer managed";
  switch (kind) {
    case "delete":
      return [{ kind: "server", text: `is removed: ${loss}` }];
    case "replace":
      return [
        { kind: "server", text: `is replaced by another server: ${loss}` },
        ...describeOrder(after?.inputs ?? {}, foreseen),
      ];
    case "create":
      return describeOrder(after?.inputs ?? {}, foreseen);
    default:
      return [];
  }
}

function describeOrder(
  inputs: Record<string, unknown>,
  foreseen: Readonly<Record<string, unknown>>,
): Finding[] {
  const { order } = inputs;
  if (typeof order !== "object" || order === null) return [];
  const { plan, monthlyPriceEur, orderId } = foreseen;
  const most = (order as Record<string, unknown>)["maxMonthlyPriceEur"];
  const price =
    typeof monthlyPriceEur === "number"
      ? `${monthlyPriceEur.toFixed(2)} € a month without tax`
      : typeof most === "number"
        ? `at most ${most.toFixed(2)} € a month without tax, the exact price is not known yet`
        : "a price that is not known yet";
  const verb = typeof orderId === "number" ? `continues order ${orderId}` : "is ordered and paid";
  return [{ kind: "order", text: `${verb}: ${price}`, detail: typeof plan === "string" ? plan : undefined }];
}

function watchInstallation(step: Step): Finding[] {
  if (step.kind === "same" || step.kind === "create") return [];
  const changed = describeProperties(step).some(({ path }) => path === "serverId");
  return changed && step.kind !== "delete"
    ? [{ kind: "reinstall", text: "belongs to a reinstalled server: everything on the host is recreated" }]
    : [];
}

function watchEdgeFirewall({ kind, before, after }: Step): Finding[] {
  if (kind === "delete")
    return [{ kind: "opening", text: "is removed: only the host's own firewall is left" }];
  if (kind !== "update" && kind !== "replace") return [];
  return edgeOpenings(before?.inputs["rules"], after?.inputs["rules"]).map(opening);
}

function watchHostFirewall({ type, kind, name: full, before, after }: Step): Finding[] {
  const name = roleOf(full);
  if (name === "host-firewall-loaded" && kind === "delete") {
    return [{ kind: "opening", text: "is removed: every port of Docker and sshd is open" }];
  }
  if (type === "technicia:host:File" && name === "host-firewall-table") {
    const [old, next] = [before?.inputs["content"], after?.inputs["content"]];
    if (kind !== "update" && kind !== "replace") return [];
    if (typeof old !== "string" || typeof next !== "string") {
      return [{ kind: "opening", text: "changes in a way that is not known yet" }];
    }
    return tableOpenings(old, next).map(opening);
  }
  const isOff = name === "host-firewall-unit" && after?.inputs["active"] === false;
  return isOff && kind === "update" ? [{ kind: "opening", text: "is switched off" }] : [];
}

function opening(rule: string): Finding {
  return { kind: "opening", text: "opens what was closed", detail: rule };
}

function watchSecrets(step: Step): Finding[] {
  const { kind, name, row } = step;
  const known = secretNames.find((secret) => name.endsWith(`-${kebab(secret)}`));
  const lost = known && entryOf(known).irreplaceable;
  const finding = (text: string, detail?: string): Finding => ({
    kind: lost === undefined ? "secret" : "key",
    text: lost === undefined ? text : `${text}; ${lost}`,
    detail,
  });
  if (kind === "delete") {
    return row.loss === "secret" ? [finding("is deleted, and its readers stop")] : [];
  }
  if (kind !== "update" && kind !== "replace") return [];
  return describeProperties(step)
    .filter(({ before }) => before.kind === "secret")
    .map(({ path }) => finding("has another secret; the previous one stops working", path));
}

function watchProtection({ kind, before, after }: Step): Finding[] {
  if (!before || !after || kind === "delete" || kind === "forget") return [];
  const lost = [
    ...(before.protect && !after.protect ? ["its protection against deletion"] : []),
    ...(before.retainOnDelete && !after.retainOnDelete ? ["the rule that keeps it when it is deleted"] : []),
  ];
  return lost.map((what) => ({ kind: "protection", text: `loses ${what}` }));
}

function isRemoved(kind: Step["kind"]): boolean {
  return kind === "delete" || kind === "replace";
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

const rule = z.object({
  sequence: z.number(),
  action: z.string(),
  protocol: z.string(),
  port: z.number().nullish(),
  sourcePort: z.number().nullish(),
  source: z.string().nullish(),
  tcpOption: z.string().nullish(),
});
type Rule = z.output<typeof rule>;

/** What the edge firewall newly lets through, in words; a list that cannot be read counts as opening. */
function edgeOpenings(before: unknown, after: unknown): string[] {
  const news = z.array(rule).safeParse(after);
  if (!news.success) return ["rules that are not known yet"];
  const old = z.array(rule).catch([]).parse(before);
  const firstDeny = Math.min(...old.filter(isDeny).map(({ sequence }) => sequence));
  const permitted = old.filter((one) => !isDeny(one) && one.sequence < firstDeny);
  const opened = news.data.filter((one) => !isDeny(one) && !permitted.some((other) => covers(other, one)));
  const undenied = old.filter(
    (one) => isDeny(one) && !news.data.some((other) => isDeny(other) && covers(other, one)),
  );
  return [...opened.map(describeRule), ...undenied.map((one) => `no longer refused: ${describeRule(one)}`)];
}

function isDeny({ action }: Rule): boolean {
  return action !== "permit";
}

/** Whether every packet that `narrow` matches is matched by `wide`. */
function covers(wide: Rule, narrow: Rule): boolean {
  return (
    (wide.protocol === "ipv4" || wide.protocol === narrow.protocol) &&
    (wide.port == null || wide.port === narrow.port) &&
    (wide.sourcePort == null || wide.sourcePort === narrow.sourcePort) &&
    (wide.tcpOption == null || wide.tcpOption === narrow.tcpOption) &&
    (wide.source == null || (narrow.source != null && contains(wide.source, narrow.source)))
  );
}

function describeRule({ protocol, port, sourcePort, source, tcpOption }: Rule): string {
  const target = port == null ? "" : ` port ${port}`;
  const origin = sourcePort == null ? "" : ` from port ${sourcePort}`;
  return `${protocol}${target}${origin} from ${source ?? "everywhere"}${tcpOption == null ? "" : `, ${tcpOption}`}`;
}

/** What the host's own table newly lets through: its lines that accept, unless an earlier one accepted as much. */
function tableOpenings(before: string, after: string): string[] {
  const old = rulesOf(before);
  const news = rulesOf(after);
  const earlier = old.filter(accepts);
  const undropped = old.filter((line) => !accepts(line) && !news.includes(line));
  return [
    ...news.filter(accepts).filter((line) => !earlier.some((other) => acceptsAsMuch(other, line))),
    ...undropped.map((line) => `no longer dropped: ${line}`),
  ];
}

function rulesOf(table: string): string[] {
  return table
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => /\b(accept|drop|reject)\b/.test(line));
}

function accepts(line: string): boolean {
  return /\baccept\b/.test(line);
}

const SET = /\{([^}]*)\}/g;

/** The same rule but for its sets, each of which is within the other's. */
function acceptsAsMuch(wide: string, narrow: string): boolean {
  if (wide.replace(SET, "{}") !== narrow.replace(SET, "{}")) return false;
  const [wideSets, narrowSets] = [wide, narrow].map(setsOf) as [string[][], string[][]];
  return narrowSets.every((set, index) =>
    set.every((item) => wideSets[index]?.some((other) => other === item || contains(other, item))),
  );
}

function setsOf(line: string): string[][] {
  return [...line.matchAll(SET)].map(([, items = ""]) => items.split(",").map((item) => item.trim()));
}

function contains(wide: string, narrow: string): boolean {
  const [wideRange, narrowRange] = [readRange(wide), readRange(narrow)];
  if (!wideRange || !narrowRange || narrowRange.prefix < wideRange.prefix) return false;
  const list = new BlockList();
  list.addSubnet(wideRange.address, wideRange.prefix, wideRange.family);
  return wideRange.family === narrowRange.family && list.check(narrowRange.address, narrowRange.family);
}

function readRange(text: string) {
  const { data } = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()]).safeParse(text);
  if (data === undefined) return undefined;
  const [address = "", prefix] = data.split("/");
  const family = isIPv6(address) ? ("ipv6" as const) : ("ipv4" as const);
  return { address, family, prefix: prefix === undefined ? (family === "ipv6" ? 128 : 32) : Number(prefix) };
}
