/** What another list of servers means, in words: what moves, what is interrupted and for how long, what remains unprotected. */
import { DATA_LABELS, type ServerLabel, SHORT_TTL_SECONDS, votes } from "../../common/servers.ts";
import type { Environment, Server } from "../../stacks/environment.ts";
import { lossesOf, type Loss } from "../../stacks/shapes.ts";

/** What a task needs to start elsewhere once its server has stopped without a word: 18.5 s were measured. */
const ELSEWHERE = "about 20 s";

type Servers = Pick<Environment, "name" | "servers">;

/** Lines in Markdown; none where the list stays, and where one server is set up for the first time. */
export function describeServers(before: Servers | undefined, after: Servers): string[] {
  const [old, next] = [before?.servers ?? [], after.servers];
  const changes = [
    ...describeCount(old.length, after),
    ...(old.length === 0 ? [] : describePairs(old, after)),
  ];
  if (changes.length === 0 || (old.length === 0 && next.length === 1)) return [];
  return [...changes, ...lossesOf(next).flatMap(describeGap)];
}

/** The list as a whole. */
function describeCount(before: number, { servers, name }: Servers): string[] {
  const count = servers.length;
  if (before === 0)
    return [
      `${count} servers are set up; ${servers.map((server) => code(server.name)).join(", ")} are one Swarm`,
    ];
  if (before === 1 && count > 1)
    return [
      "from one server to several, all services move to networks with other names, one after the other, and the Swarm is begun again: visitors get errors for some minutes, so do it in the window and make a set of backups first",
    ];
  if (before > 1 && count === 1)
    return [
      `from several servers to one is not rehearsed yet (docs/decisions/0019-several-servers.md): first take each other one out with \`npm run servers -- ${name} remove <name>\`; the services then move to networks with other names, and visitors get errors for some minutes`,
    ];
  return [];
}

/** Each server by its name. */
function describePairs(before: readonly Server[], { servers, name: stack }: Servers): string[] {
  const byName = (list: readonly Server[]) => new Map(list.map((server) => [server.name, server]));
  const [old, next] = [byName(before), byName(servers)];
  // Of one server nobody has chosen a name.
  const isNamed = before.length > 1 && servers.length > 1;
  const added = servers.filter(({ name }, index) => !old.has(name) && (isNamed || index > 0));
  const gone = before.filter(({ name }, index) => !next.has(name) && (isNamed || index > 0));
  const removed = gone.filter((server) => !added.some((other) => isSameMachine(server, other)));
  const kept = isNamed ? servers.flatMap((server) => pairOf(old, server)) : [];
  return [
    ...added.map((server) => describeAdded(server, { stack, gone })),
    ...removed.map((server) => describeRemoved(server, { stack, isFirst: server === before[0] })),
    ...(isNamed ? describeData(before, servers, stack) : []),
    ...kept.flatMap(([one, other]) => describeKept(one, other, stack)),
  ];
}

function pairOf(old: ReadonlyMap<string, Server>, server: Server): [Server, Server][] {
  const before = old.get(server.name);
  return before === undefined ? [] : [[before, server]];
}

function isSameMachine(
  { source: one }: Pick<Server, "source">,
  { source: other }: Pick<Server, "source">,
): boolean {
  return one.kind === "adopt" && other.kind === "adopt" && one.serviceName === other.serviceName;
}

function describeAdded(
  { name, role, labels, source }: Server,
  { stack, gone }: { readonly stack: string; readonly gone: readonly Server[] },
): string {
  const twin = gone.find((one) => isSameMachine(one, { source }));
  if (twin !== undefined)
    return `${code(twin.name)} is called ${code(name)} now, which is another server to the program: it would set the same machine up twice; give it its name back`;
  const how = source.kind === "order" ? "is ordered, set up and joins" : "is set up and joins";
  const joined = `${code(name)} ${how} as ${role}: nothing that runs restarts`;
  if (role === "witness") return `${joined}, and it only votes`;
  const visitors = labels.includes("gateway") ? ` Visitors come to it within ${SHORT_TTL_SECONDS} s.` : "";
  return `${joined}, and nothing moves to it by itself: \`npm run servers -- ${stack} undrain ${name}\` gives it its share afterwards.${visitors}`;
}

function describeRemoved(
  { name, role, labels }: Server,
  { stack, isFirst }: { readonly stack: string; readonly isFirst: boolean },
): string {
  if (isFirst)
    return `${code(name)} was the first of the list, and no other server can have its resources' names yet (docs/decisions/0019-several-servers.md): put it back in front, and give its entry another machine instead`;
  const data = DATA_LABELS.filter((label) => labels.includes(label));
  const lost = data.length === 0 ? "" : `; what is on its disk (${data.join(", ")}) is left behind`;
  const vote = votes(role) ? ", and its vote stays in the count" : "";
  return `${code(name)} goes${lost}: take it out in order with \`npm run servers -- ${stack} remove ${name}\` before this is deployed, and nothing is interrupted; otherwise what runs there is away for ${ELSEWHERE}${vote}`;
}

/** Data that is to be on another server. */
function describeData(before: readonly Server[], after: readonly Server[], stack: string): string[] {
  const placeOf = (list: readonly Server[], label: ServerLabel) =>
    list.find(({ labels }) => labels.includes(label))?.name;
  const moved = DATA_LABELS.flatMap((label) => {
    const [from, to] = [placeOf(before, label), placeOf(after, label)];
    return from === undefined || to === undefined || from === to ? [] : [{ label, from, to }];
  });
  const [first] = moved;
  if (first === undefined) return [];
  const labels = moved.map(({ label }) => label).join(", ");
  return [
    `**${labels} move from ${code(first.from)} to ${code(first.to)}, and their data does not**: they start empty there, and answer nothing useful until \`npm run restore -- ${stack}\` has brought the newest set back; make one just before with \`npm run backup -- ${stack}\`, and what is written between the two is lost`,
  ];
}

/** A server that is in both lists. */
function describeKept(before: Server, after: Server, stack: string): string[] {
  return [
    ...describeMachine(before, after, stack),
    ...describeRole(before, after),
    ...describeGateway(before, after, stack),
  ];
}

function describeMachine(
  { source: before }: Server,
  { name, source, labels }: Server,
  stack: string,
): string[] {
  if (before.kind !== "adopt" || source.kind !== "adopt" || before.serviceName === source.serviceName)
    return [];
  const data = DATA_LABELS.filter((label) => labels.includes(label));
  const machines = `${code(name)} becomes another machine (${before.serviceName} → ${source.serviceName})`;
  return data.length === 0
    ? [
        `${machines}: what runs there is away for ${ELSEWHERE}, unless \`npm run servers -- ${stack} drain ${name}\` has moved it before`,
      ]
    : [
        `**${machines}, and its data stays on the old one**: ${data.join(", ")} answer nothing until \`npm run recover -- ${stack}\` has set it up and brought the newest set back`,
      ];
}

function describeRole({ role: before }: Server, { name, role }: Server): string[] {
  if (before === role) return [];
  const change = `${code(name)} becomes ${role} instead of ${before}`;
  if (role === "witness") return [`${change}: what runs there stops and starts elsewhere, so drain it first`];
  if (before === "witness") return [`${change}: it takes tasks from now on, and nothing restarts`];
  return [`${change}: it ${votes(role) ? "votes from now on" : "votes no more"}, and nothing moves`];
}

function describeGateway({ labels: before }: Server, { name, labels }: Server, stack: string): string[] {
  const [had, has] = [before.includes("gateway"), labels.includes("gateway")];
  if (had === has) return [];
  return has
    ? [`${code(name)} takes visitors as well, once resolvers know it: within ${SHORT_TTL_SECONDS} s`]
    : [
        `${code(name)} takes no visitors any more: those whom resolvers still lead there get no answer for up to ${SHORT_TTL_SECONDS} s, unless \`npm run servers -- ${stack} drain ${name}\` has taken it out of DNS before`,
      ];
}

/** What is still not survived. */
function describeGap({ server, hasGateway, hasData, hasServices, hasQuorum }: Loss): string[] {
  const missing = [
    ...(hasGateway ? [] : ["visitors reach nobody"]),
    ...(hasData ? [] : ["there are no answers and no uploads until it is back or restored"]),
    ...(hasServices ? [] : ["nothing else runs services"]),
    ...(hasQuorum ? [] : ["the Swarm cannot be changed and moves nothing"]),
  ];
  return missing.length === 0
    ? []
    : [`not protected afterwards: when ${code(server)} is lost, ${missing.join(", ")}`];
}

/** Names of servers have no character that Markdown reads. */
function code(name: string): string {
  return `\`${name}\``;
}
