/** The second environment of the rehearsal, and what each of the two sees of the other. */
import { run } from "../../common/run.ts";
import { countLines } from "../../ops/monitoring/log-query.ts";
import { neighbourSelector } from "../../ops/monitoring/metrics.ts";
import { ROUTER } from "../../rehearsal/world.ts";
import { type Environment, FIRST, query, SECOND, untilMonitored } from "./monitored.ts";
import { npm, operator, until } from "./rehearsal.ts";

/** Environments say once a minute that they live. */
const SIGN_SECONDS = 60;

/** A sign and a half. */
const FRESH_SECONDS = 90;

/** Deploys a second environment next to the first, and waits until each hears and probes the other. */
export async function addNeighbour(): Promise<void> {
  const { code, stdout, stderr } = await npm("start", "--", "--neighbour");
  if (code !== 0) throw new Error(`npm start -- --neighbour ended with ${code}\n${stdout}\n${stderr}`);
  for (const environment of [FIRST, SECOND]) await untilMonitored(environment);
  await untilHeard();
  for (const [by, of] of PAIRS)
    await until(`${by.stack} to reach ${of.stack}`, async () => (await isReached(by, of)) === true, 120);
}

/** The other files of tests know one environment. */
export async function removeNeighbour(): Promise<void> {
  await npm("run", "rehearsal:stop");
}

/** Who watches whom. */
const PAIRS = [
  [FIRST, SECOND],
  [SECOND, FIRST],
] as const;

/** Waits until each has heard lately that the other lives. */
export async function untilHeard(): Promise<void> {
  for (const [by, of] of PAIRS)
    await until(`${by.stack} to hear ${of.stack}`, () => hears(by, of), 3 * SIGN_SECONDS + FRESH_SECONDS);
}

async function hears(by: Environment, of: Environment): Promise<boolean> {
  const until = new Date();
  const from = new Date(until.getTime() - FRESH_SECONDS * 1000);
  const filter = `{app_name="gateway"} | unpack_json from _msg fields (uri, status) | filter uri:=${JSON.stringify(`/deadman/${of.stack}`)} status:=204`;
  return (await countLines(by.stores, { filter, from, until })) > 0;
}

async function isReached(by: Environment, of: Environment): Promise<boolean | undefined> {
  const [probe] = await query(neighbourSelector(of.stack), by);
  return probe && probe.value === 1;
}

/** Packets between the server and everybody else that the router drops. */
export type Cut = "all" | "visitors";

/** Cuts a server off: from everything, or only from who comes to its site; `mend` ends it. */
export async function cut(address: string, what: Cut): Promise<void> {
  const rules =
    what === "all"
      ? [`ip saddr ${address} drop`, `ip daddr ${address} drop`]
      : [`ip daddr ${address} tcp dport 443 drop`];
  await nft(renderCut(rules));
}

/** Before the edge firewall, whose rules may let the packets through. For nft. */
export function renderCut(rules: readonly string[]): string {
  return [
    "add table ip cut",
    "add chain ip cut forward { type filter hook forward priority -10; }",
    ...rules.map((rule) => `add rule ip cut forward ${rule}`),
  ].join("; ");
}

export const mend = () => nft("delete table ip cut");

const nft = (rules: string) => run(["docker", "exec", ROUTER, "nft", rules]);

export interface View {
  /** Title of the row of `npm run metrics`. */
  readonly title: string;

  /** Whose store has the probes, and which. */
  readonly by: Environment;
  readonly selector: string;
}

/** What is said of the first environment: by its neighbour, and by itself. */
export const VIEWS = {
  outside: {
    title: `Availability, from ${SECOND.stack}`,
    by: SECOND,
    selector: neighbourSelector(FIRST.stack),
  },
  own: { title: "Availability, from the server", by: FIRST, selector: 'probe_success{job="public"}' },
} as const satisfies Readonly<Record<string, View>>;

/** Seconds since the first probe in which the first environment was not available, by what the command says of it. */
export async function unavailableSeconds({ title, by, selector }: View): Promise<number> {
  const command = ["npm", "run", "--silent", "metrics", "--", FIRST.stack, "--json"];
  const { code, stdout, stderr } = await operator(command);
  if (code !== 0) throw new Error(`npm run metrics ended with ${code}: ${stderr}`);
  const { metrics } = JSON.parse(stdout) as {
    metrics: readonly { title: string; month: number | null; problem?: string }[];
  };
  const row = metrics.find((one) => one.title === title);
  if (row?.month == null)
    throw new Error(`${title}: expected a share, got ${row?.problem ?? "none"}\n${stdout}`);
  const [first] = await query(`min(tfirst_over_time(${selector}[35d]))`, by);
  if (first === undefined) throw new Error(`${title}: expected a first probe, got none`);
  return (Date.now() / 1000 - first.value) * (1 - row.month / 100);
}
