import { type Environment, publicNames } from "../../../stacks/environment.ts";
import { areSeveral, gatewaysOf } from "../../../stacks/servers.ts";
import { connectionsIn, keyOf } from "../../engine/deployed-servers.ts";
import { readState } from "../../engine/state.ts";
import { openCloudflare } from "../../../provider/dns/cloudflare.ts";
import type { CheckContext, CheckEffects } from "../context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "../probe.ts";

type Effects = Pick<CheckEffects, "fetch" | "resolver" | "now">;

const HOUR_MS = 3_600_000;
/** A resolver's answers for a name or a record that does not exist. */
const ABSENT = ["ENOTFOUND", "ENODATA"];

/** Whether every name of the environment points to the server, and has done so for long enough. */
export function dnsProbe(context: CheckContext, effects: Effects): Probe {
  return {
    id: "dns",
    title: "DNS : Configuration et propagation vérifiées",
    async find(signal) {
      const { environment, outputs } = context;
      if (!outputs) return notChecked("pas encore de serveur vers lequel pointer : premier déploiement");
      const wrong: string[] = [];
      const { ipv6 } = outputs;
      const ipv4 = areSeveral(environment) ? await gatewayAddresses(context) : [outputs.ipv4];
      for (const name of publicNames(environment)) {
        try {
          wrong.push(...(await differences(name, { ipv4, ipv6, resolver: effects.resolver })));
        } catch (error) {
          return notChecked(`le résolveur de cette machine ne répond pas pour ${name} (${codeOf(error)})`);
        }
      }
      if (wrong.length > 0) return failed(wrong.join(" ; "));

      const since =
        (await cloudflareDate(context, { fetch: effects.fetch, signal }).catch(() => undefined)) ??
        (await stateDate(context).catch(() => undefined));
      return judgeAge(environment, { since, now: effects.now() });
    },
  };
}

function judgeAge(
  environment: Environment,
  age: { readonly since: number | undefined; readonly now: number },
): Finding {
  const { dnsSettledHours: required } = environment.operations;
  const pointing = `${publicNames(environment).join(", ")} : pointe vers le serveur`;
  if (age.since === undefined) {
    return required === 0
      ? ok(`${pointing} ; aucun délai n'est demandé`)
      : notChecked(
          `${pointing}, mais depuis quand n'est dit ni par le fournisseur ni par l'état ; demandé : ${required} h`,
        );
  }
  const hours = Math.floor((age.now - age.since) / HOUR_MS);
  const seen = `${pointing} depuis ${hours} h ; demandé : ${required} h`;
  const measures = { settledHours: hours };
  return hours >= required ? ok(seen, measures) : failed(seen, measures);
}

/** Those that are deployed. */
async function gatewayAddresses({ stack, pulumi, environment }: CheckContext): Promise<string[]> {
  const connections = connectionsIn((await readState(stack, pulumi)).resources);
  return gatewaysOf(environment).flatMap(
    ({ name }) => connections.get(keyOf(environment, name))?.address ?? [],
  );
}

/** Some addresses of several are enough: one whose server is drained or lost is taken out of the names. */
async function differences(
  name: string,
  expected: {
    readonly ipv4: readonly string[];
    readonly ipv6: string;
    readonly resolver: CheckEffects["resolver"];
  },
): Promise<string[]> {
  const { ipv4, ipv6, resolver } = expected;
  const [v4, v6] = await Promise.all([orNone(resolver.resolve4(name)), orNone(resolver.resolve6(name))]);
  // The gateway answers over IPv4 only; a record of an earlier release goes with the next deployment.
  const strange = v6.filter((address) => canonical(address) !== canonical(ipv6));
  const wrongV4 = v4.length === 0 || v4.some((address) => !ipv4.includes(address));
  return [
    ...(wrongV4 ? [`${name} A : attendu ${ipv4.join(", ")}, trouvé ${v4.join(", ") || "rien"}`] : []),
    ...(strange.length > 0 ? [`${name} AAAA : attendu rien, trouvé ${strange.join(", ")}`] : []),
  ];
}

async function orNone(answer: Promise<string[]>): Promise<string[]> {
  try {
    return await answer;
  } catch (error) {
    if (ABSENT.includes(codeOf(error))) return [];
    throw error;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

function canonical(address: string): string {
  return URL.canParse(`http://[${address}]`) ? new URL(`http://[${address}]`).hostname : address;
}

/** When the vendor last changed the records of the domain. */
async function cloudflareDate(
  { environment: { dns, domain }, secrets }: CheckContext,
  { fetch, signal }: Pick<CheckEffects, "fetch"> & { readonly signal: AbortSignal },
): Promise<number | undefined> {
  const { cloudflareApiToken: token } = secrets;
  if (dns.provider !== "cloudflare" || !token) return undefined;
  const client = await openCloudflare({ baseUrl: dns.cloudflareBaseUrl, token, fetch });
  const records = { zone_id: dns.zoneId, name: { exact: domain }, type: "A" as const };
  const { result } = await client.dns.records.list(records, { signal });
  return newest(result.map(({ modified_on: changed }) => changed));
}

/** When the engine last wrote the records to its state. A refresh may make a record look newer, but never older. */
async function stateDate({ stack, pulumi, outputs }: CheckContext): Promise<number | undefined> {
  const { resources } = await readState(stack, pulumi);
  const records = resources.filter(
    ({ type, outputs: known }) =>
      /record$/i.test(type) && [known?.["target"], known?.["content"]].includes(outputs?.ipv4),
  );
  return newest(records.flatMap(({ created, modified }) => [created, modified]));
}

function newest(dates: readonly (string | undefined)[]): number | undefined {
  const times = dates.map((date) => Date.parse(date ?? "")).filter((time) => !Number.isNaN(time));
  return times.length === 0 ? undefined : Math.max(...times);
}
