/** Whether a changed firewall lets through what the one before it did not. */
import { BlockList, isIPv6 } from "node:net";

import { z } from "zod";

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
export function edgeOpenings(before: unknown, after: unknown): string[] {
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
export function tableOpenings(before: string, after: string): string[] {
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
