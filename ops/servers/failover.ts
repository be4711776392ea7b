/**
 * `npm run failover`: a server is down, the others take its work. They do so by themselves where they can; this makes sure that it is down, takes it
 * out of the names and out of the Swarm's work, so that it comes back without work, says what stays down, verifies the rest and records all.
 */
import { UserError } from "../../common/user-error.ts";
import { record } from "../backup/world.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { reportIncident } from "../effects.ts";
import { announce, type Announcement } from "../monitoring/announce.ts";
import { TimedSteps } from "../timed-steps.ts";
import { confirmDown, type Confirmed } from "./down.ts";
import { planFailover, renderNext, renderPlan, type FailoverPlan } from "./failover-plan.ts";
import { memberOf, type Member } from "../fleet/fleet.ts";
import { takeOut } from "./names.ts";
import { settled } from "./settle.ts";
import { askManagers, setAvailability, type Asked } from "../fleet/swarm.ts";
import { verifyGateways } from "./gateways.ts";
import { locked, type Opened } from "./world.ts";

export interface FailoverRequest {
  readonly stack: string;

  /** Name of the server that is down. */
  readonly from: string;

  /** Whether nothing is changed; the server may be alive then. */
  readonly isDrill: boolean;
  readonly yes: boolean;
}

interface Work extends FailoverRequest {
  readonly opened: Opened;
  readonly member: Member;
  readonly asked: Asked;
  readonly confirmed: Confirmed;
  readonly plan: FailoverPlan;
  readonly steps: TimedSteps;
  readonly began: Date;
}

export async function failover(request: FailoverRequest, opened: Opened): Promise<Outcome> {
  const { from, isDrill, yes } = request;
  const { fleet, connections, world } = opened;
  const began = world.now();
  const member = memberOf(fleet, from);
  if (!fleet.isSeveral)
    throw new UserError(
      `${from}: expected another server that takes over, got none: it is the only one; npm run recover -- ${fleet.stack} sets it up again, or another one in its place`,
    );
  const steps = new TimedSteps(world);
  const asked = await steps.run("managers", () => askManagers(fleet, connections, { except: member }));
  const confirmed = await steps.run("confirm", () => confirmDown(opened, { member, asked }));
  for (const line of confirmed.silent) world.say(`not reached from ${line}`);
  for (const line of confirmed.reached) world.say(`reached from ${line}`);
  if (confirmed.reached.length > 0 && !isDrill) throw stillReached(request, confirmed);
  const plan = await steps.run("plan", () => planFailover(opened, { member, asked }));
  for (const line of renderPlan(plan, member)) world.say(line);
  const work = { ...request, opened, member, asked, confirmed, plan, steps, began };
  if (isDrill) return await endDrill(work);
  if (!yes && !(await world.confirm(`Take the work of ${from} over now?`)))
    return { text: "cancelled; nothing was changed", exitCode: EXIT.refused };
  return await locked(opened, { server: asked.server, why: `failover from ${from}` }, (signal) =>
    carryOut(work, signal),
  );
}

function stillReached({ stack, from }: FailoverRequest, { reached }: Confirmed): UserError {
  return new UserError(
    `${from}: expected a server that nobody reaches, got one that is reached from:\n${reached.map((line) => `  ${line}`).join("\n")}\n` +
      `nothing was changed. If it works, npm run servers -- ${stack} drain ${from} moves its work away in order; if it is frozen, stop it in OVH's control panel and run this again`,
  );
}

/** What a drill has found; it is recorded, and changes nothing else. */
async function endDrill({
  stack,
  from,
  opened,
  member,
  asked,
  confirmed,
  plan,
  steps,
}: Work): Promise<Outcome> {
  const { world, fleet, connections } = opened;
  const isAlive = confirmed.reached.length > 0;
  const stays = plan.stranded.length === 0 ? "" : ` ; resterait arrêté : ${plan.stranded.join(", ")}`;
  const detail = `essai de bascule de ${from} : ${isAlive ? "serveur joignable, une vraie bascule serait refusée" : "serveur injoignable"}${stays}`;
  // Its records are those that history shows.
  const keeper = isAlive && member === fleet.home ? connections.to(member) : asked.server;
  await record(keeper, world, { action: "failover", detail });
  const text = [
    `drill: nothing was changed; in earnest this would be ${isAlive ? `refused, because ${from} is reached` : "carried out"}`,
    ...(await renderNext(opened, { member, plan })),
    "",
    steps.render(),
    ...(isAlive ? [] : ["", `npm run failover -- ${stack} --from ${from} carries it out`]),
  ];
  return { text: text.join("\n"), exitCode: EXIT.ok };
}

async function carryOut(work: Work, signal: AbortSignal): Promise<Outcome> {
  const { stack, from, opened, member, asked, plan, steps } = work;
  const { world } = opened;
  await tell(work, { stage: "started", detail: `${from} ne répond plus` });
  try {
    await steps.run("fence", () => fence(work));
    signal.throwIfAborted();
    const problems = await steps.run("verify", () => verifyRest(work, signal));
    const next = await renderNext(opened, { member, plan });
    const isWell = problems.length === 0;
    const stays = plan.stranded.length === 0 ? "" : ` ; reste arrêté : ${plan.stranded.join(", ")}`;
    const result = isWell ? "le reste répond" : `en échec : ${problems.join(" ; ")}`;
    await record(asked.server, world, {
      action: "failover",
      detail: `bascule de ${from} : ${result}${stays}`,
    });
    await tell(work, { stage: isWell ? "finished" : "failed", detail: `${result}${stays}` });
    await openIncident(work, problems);
    const text = [
      isWell
        ? `${from} is out of the work of ${stack}, and everything else answers`
        : `${from} is out of the work of ${stack}, but:\n${problems.map((line) => `  ${line}`).join("\n")}`,
      ...next,
      "",
      steps.render(),
    ];
    // What stays down needs somebody.
    return { text: text.join("\n"), exitCode: isWell && plan.stranded.length === 0 ? EXIT.ok : EXIT.failed };
  } catch (error) {
    await tell(work, { stage: "failed", detail: (error as Error).message });
    throw error;
  }
}

/**
 * Out of the names, and without work: when it comes back it stops what it ran, and waits. Its vote stays, because a manager that is away cannot do
 * harm with it, and one that comes back is missed less.
 */
async function fence({ opened, member, asked, plan }: Work): Promise<void> {
  if (plan.named !== undefined) await takeOut(plan.named, opened);
  if (plan.node === undefined) return;
  await setAvailability(asked.server, { node: plan.node, availability: "drain" });
  opened.world.say(`${member.name} gets no tasks any more`);
}

/** Gives what is not as it should be, a line each; what stays down on purpose is no problem here. */
async function verifyRest({ opened, member, asked, stack }: Work, signal: AbortSignal): Promise<string[]> {
  const { world, fleet } = opened;
  const problems: string[] = [];
  try {
    await settled({
      ...{ manager: asked.server, world, signal },
      remedy: `look at docker service ps <name> on ${asked.manager.name}; npm run servers -- ${stack} shows what runs where`,
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    signal.throwIfAborted();
    problems.push(error.message);
  }
  const others = fleet.members.filter(
    ({ name, labels }) => name !== member.name && labels.includes("gateway"),
  );
  return [
    ...problems,
    ...(await verifyGateways(asked.server, { name: fleet.environment.domain, gateways: others })),
  ];
}

/** The monitoring, which tells the team, is with the data. */
async function tell(
  { opened, asked, began }: Work,
  what: Pick<Announcement, "stage" | "detail">,
): Promise<void> {
  const { fleet, world } = opened;
  if (asked.manager.name !== fleet.home.name) {
    world.say(`the team was not told (${what.stage}): the monitoring is on ${fleet.home.name}`);
    return;
  }
  const { environment } = fleet;
  await announce({ ...world, server: asked.server, environment }, { work: "failover", began, ...what });
}

async function openIncident(
  { stack, from, opened, asked, confirmed, plan }: Work,
  problems: readonly string[],
): Promise<void> {
  const { world } = opened;
  const hasStranded = plan.stranded.length > 0;
  const incident = await reportIncident(
    {
      stack,
      title: `Serveur ${from} perdu`,
      category: "Configuration",
      priority: hasStranded || problems.length > 0 ? "Critique" : "Haute",
      impact: hasStranded
        ? `ce qui dépend de ses données ne répond plus : ${plan.stranded.join(", ")}`
        : "les autres serveurs ont repris son travail ; une panne de plus n'est pas couverte",
      description: `${from} ne répond plus ; il a été retiré du DNS et du travail du Swarm par npm run failover`,
      symptoms: confirmed.silent,
      diagnostics: problems,
    },
    world,
  );
  if (incident === undefined) return;
  const detail = `${incident.id} ${incident.isNew ? "ouvert" : "constaté à nouveau"} : bascule de ${from}`;
  await record(asked.server, world, { action: "incident", detail });
}
