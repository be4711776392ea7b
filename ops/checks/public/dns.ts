import { publicNames, type Environment } from "../../../stacks/environment.ts";
import { readState } from "../../engine/state.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "../finding.ts";
import { cloudflareUrl } from "../keys/cloudflare.ts";
import { call } from "../../vendors/http.ts";
import type { World } from "../world.ts";

const HOUR_MS = 3_600_000;
/** What a resolver answers when there is no such name or no such record. */
const ABSENT = ["ENOTFOUND", "ENODATA"];

/** Whether every name of the environment leads to the server, and has done so long enough. */
export function dnsProbe(context: CheckContext, world: World): Probe {
  return {
    id: "dns",
    title: "DNS : Configuration et propagation vérifiées",
    async find(signal) {
      const { environment, outputs } = context;
      if (!outputs) return notChecked("pas encore de serveur vers lequel pointer : premier déploiement");
      const expected = { ipv4: outputs.ipv4, ipv6: outputs.ipv6 };
      const wrong: string[] = [];
      for (const name of publicNames(environment)) {
        try {
          wrong.push(...(await differences(world, name, expected)));
        } catch (error) {
          return notChecked(`le résolveur de cette machine ne répond pas pour ${name} (${codeOf(error)})`);
        }
      }
      if (wrong.length > 0) return failed(wrong.join(" ; "));

      const since = await pointingSince(context, world, signal);
      return judgeAge(environment, { since, now: world.now() });
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
  const told = `${pointing} depuis ${hours} h ; demandé : ${required} h`;
  const measures = { settledHours: hours };
  return hours >= required ? ok(told, measures) : failed(told, measures);
}

async function differences(
  { resolver }: World,
  name: string,
  expected: { readonly ipv4: string; readonly ipv6: string },
): Promise<string[]> {
  const [v4, v6] = await Promise.all([orNone(resolver.resolve4(name)), orNone(resolver.resolve6(name))]);
  const compare = (type: string, found: readonly string[], wanted: string) =>
    found.length === 1 && canonical(found[0]!) === canonical(wanted)
      ? []
      : [`${name} ${type} : attendu ${wanted}, trouvé ${found.join(", ") || "rien"}`];
  return [...compare("A", v4, expected.ipv4), ...compare("AAAA", v6, expected.ipv6)];
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
  return address.includes(":") ? new URL(`http://[${address}]`).hostname : address;
}

/** Since when the records are as they are: what the vendor says, else what the state says. */
async function pointingSince(
  context: CheckContext,
  world: World,
  signal: AbortSignal,
): Promise<number | undefined> {
  const told = await fromCloudflare(context, world, signal).catch(() => undefined);
  return told ?? (await fromState(context).catch(() => undefined));
}

async function fromCloudflare(
  { environment: { dns, domain }, secrets }: CheckContext,
  world: World,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { cloudflareApiToken: token } = secrets;
  if (dns.provider !== "cloudflare" || !token) return undefined;
  const query = new URLSearchParams({ name: domain, type: "A" }).toString();
  const answer = await call(world, `${cloudflareUrl(dns)}/zones/${dns.zoneId}/dns_records?${query}`, {
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  const { result } = (answer.body ?? {}) as { result?: readonly { modified_on?: string }[] };
  return newest((result ?? []).map(({ modified_on: changed }) => changed));
}

/** The engine's own dates: a record that was refreshed counts as new, never as older than it is. */
async function fromState({ stack, pulumi, outputs }: CheckContext): Promise<number | undefined> {
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
