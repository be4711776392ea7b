/** `npm run maintain`: package lists → plan → window → upgrade → reboot → verify → record. */
import type { Check } from "../../common/check.ts";
import { lastGood } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { EXIT, Refusal } from "../deploy/release-progress.ts";
import { describeStop, renderChecks } from "../deploy/render.ts";
import { Session, type Operator } from "../deploy/session.ts";
import { describeWindow } from "../deploy/window.ts";
import { checkWindow } from "../deploy/window-check.ts";
import { deployedSettings } from "../drift/deployed-settings.ts";
import { readDeployedState } from "../drift/state.ts";
import { reportIncident } from "../effects.ts";
import { readConfiguration } from "../engine/settings.ts";
import type { Announcement } from "../monitoring/announce.ts";
import { during, seenByNeighbours } from "../monitoring/planned.ts";
import type { Server } from "../server/connection.ts";
import { readReleases } from "../server/records.ts";
import { describeFailure } from "./incident.ts";
import { readPatches, renderUpgrade, type Patches } from "../server/patches.ts";
import { count, renderKept, renderPlan } from "./plan.ts";
import { readBoot, rebootServer, type Boot } from "./reboot.ts";
import { among, type Among } from "./among.ts";
import { settle } from "./settle.ts";
import { noteBegun, noteEnded, readUnfinished } from "./unfinished.ts";
import { findReplaced, installUpgrades, readLists, type Watching } from "./upgrade.ts";

export interface MaintainRequest {
  readonly stack: string;

  /** Of several servers: another one than that of the data. @default that of the data */
  readonly name?: string | undefined;
  readonly emergency: boolean;

  /** Always there in an emergency. */
  readonly reason: string;
  readonly yes: boolean;

  /** Between two looks at a server that does not answer. @default 5 */
  readonly retrySeconds?: number;
}

interface Work {
  readonly request: MaintainRequest;
  readonly session: Session;

  /** The one that is maintained. */
  readonly server: Server;

  /** Where it is one of several: its work is moved away and back, and the Swarm is asked whether all is well. */
  readonly among: Among | undefined;
  readonly watching: Watching;
  readonly patches: Patches;
  readonly began: Date;

  /** What an earlier maintenance began. */
  readonly unfinished: string | undefined;
}

export async function maintain(request: MaintainRequest, operator: Operator): Promise<Outcome> {
  const { stack } = request;
  const why = request.reason === "" ? "maintenance" : `maintenance: ${request.reason}`;
  return await Session.during({ stack, why, operator, duringUpgrade: true }, async (session) => {
    if (session.server === undefined)
      throw new UserError(`${stack} is not deployed; deploy it with npm run deploy -- ${stack}`);
    return await among(request, { session }, async (found) => await maintainServer(request, session, found));
  });
}

async function maintainServer(
  request: MaintainRequest,
  session: Session,
  found: Among | undefined,
): Promise<Outcome> {
  const { stack, retrySeconds } = request;
  const { operator } = session;
  const server = found?.server ?? session.server!;
  const { say, now } = operator;
  const began = now();
  const watching = { say, now, ...(retrySeconds === undefined ? {} : { retrySeconds }) };
  await readLists(server, watching);
  const [patches, unfinished] = [await readPatches(server), await readUnfinished(server)];
  session.signal.throwIfAborted();
  if (isNothing(patches) && unfinished === undefined)
    return {
      text: [`${stack}: nothing to upgrade, and no reboot is required`, ...renderKept(patches)].join("\n"),
      exitCode: EXIT.ok,
    };
  const isElsewhere = found !== undefined && !found.isHome;
  for (const line of renderPlan(patches, { unfinished, isElsewhere })) say(line);
  const work = { request, session, server, among: found, watching, patches, began, unfinished };
  try {
    await agree(work);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await record(work, `maintenance refusée : ${error.detail}`);
    return { text: error.message, exitCode: EXIT.refused };
  }
  return await carryOut(work);
}

function isNothing({ upgrades, broken, reboot }: Patches): boolean {
  return upgrades.length === 0 && broken === undefined && reboot === undefined;
}

function record({ session, request }: Pick<Work, "session" | "request">, detail: string): Promise<void> {
  const where = request.name === undefined ? "" : `${request.name} : `;
  return session.audit({ action: "maintenance", reason: request.reason, detail: `${where}${detail}` });
}

/** Throws a `Refusal` when nothing may be changed now. */
async function agree({ request, session }: Work): Promise<void> {
  const { operator, environment } = session;
  operator.say(checkWindow(request, { ...operator, operations: environment.operations }));
  if (!request.yes && !(await operator.confirm(`Carry this out on ${request.stack} now?`)))
    throw new Refusal("cancelled; nothing was changed", "personne n'a confirmé");
  session.signal.throwIfAborted();
}

async function carryOut(work: Work): Promise<Outcome> {
  const { session, server, patches, unfinished, request } = work;
  const own = patches.upgrades.map(renderUpgrade).join(", ");
  const done = [unfinished, own].filter((part) => part !== undefined && part !== "").join(", ");
  const described = done === "" ? "aucune mise à jour" : done;
  const urgent = request.emergency ? " en urgence" : "";
  await noteBegun(server, described);
  await record(work, `maintenance commencée${urgent} : ${described}`);
  const { emergency } = request;
  const window = describeWindow(session.environment.operations, { at: session.operator.now(), emergency });
  await tell(work, { stage: "started", detail: described, window });
  try {
    const rebooted = await silenced(work, () => aside(work, () => upgradeAndReboot(work)));
    session.signal.throwIfAborted();
    const checks = await verifyDeployed(session, session.server!);
    session.signal.throwIfAborted();
    return await finish(work, { described, rebooted, checks });
  } catch (error) {
    await recordInterruption(work, error as Error);
    throw error;
  }
}

async function tell(
  { session, request, began }: Work,
  what: Pick<Announcement, "stage" | "detail" | "window">,
): Promise<void> {
  await session.announce({ work: "maintenance", began, reason: request.reason, ...what });
}

async function recordInterruption(work: Work, { message }: Error): Promise<void> {
  const { session, request } = work;
  const { signal, operator } = session;
  const why = signal.aborted ? describeStop(signal.reason) : `interrompue : ${message}`;
  operator.say(
    `the maintenance did not come to its end; run npm run maintain -- ${request.stack} again, which goes on from there`,
  );
  await tell(work, { stage: "failed", detail: why });
  try {
    await record(work, `maintenance ${why}`);
    if (!signal.aborted) await openIncident(work, { description: message, checks: [] });
  } catch (error) {
    operator.say(`the end could not be recorded: ${(error as Error).message}`);
  }
}

/** The upgrade and a reboot end sooner. */
const SILENT_SECONDS = 2 * 3600;

/** Neighbours notice a reboot, too. */
async function silenced<T>({ session, request }: Work, work: () => Promise<T>): Promise<T> {
  const { environment, operator } = session;
  // The monitoring is with the data.
  const server = session.server!;
  const { identity, now, say } = operator;
  const what = request.reason === "" ? "maintenance" : `maintenance: ${request.reason}`;
  const isOn = environment.monitoring.enabled;
  const alerts = { kind: "maintenance" } as const;
  const seenBy = seenByNeighbours(environment, { ...operator, stack: request.stack });
  return await during(
    { server, what, alerts, seconds: SILENT_SECONDS, isOn, identity, now, say, seenBy },
    work,
  );
}

/** With its work moved away meanwhile, where another server can do it. */
async function aside<T>({ among: found, session }: Work, work: () => Promise<T>): Promise<T> {
  if (found === undefined || found.isHome) return await work();
  await found.moveAway(session.signal);
  const result = await work();
  await found.moveBack(session.signal);
  return result;
}

/** Of several servers, no one alone knows whether every service runs. */
async function settleAll({ among: found, server, watching, session }: Work): Promise<void> {
  if (found === undefined) await settle(server, watching);
  else await found.settle(session.signal);
}

/** What the server booted before and after; undefined when it was not rebooted. */
async function upgradeAndReboot(
  work: Work,
): Promise<{ readonly before: Boot; readonly after: Boot } | undefined> {
  const { session, server, watching, patches } = work;
  const { say } = watching;
  if (patches.upgrades.length > 0 || patches.broken !== undefined) {
    say("installing the upgrades, which takes some minutes");
    await installUpgrades(server, watching);
  }
  const reboot = (await readPatches(server)).reboot ?? (await findReplaced(server));
  // Also before an interruption ends the command.
  if (reboot === undefined || session.signal.aborted) await settleAll(work);
  session.signal.throwIfAborted();
  if (reboot === undefined) return undefined;
  say(`rebooting the server: ${reboot}`);
  await session.announce({ work: "reboot", stage: "started", began: watching.now(), detail: reboot });
  const before = await readBoot(server);
  const after = await rebootServer(server, { ...watching, signal: session.signal });
  await settleAll(work);
  const { reboot: still } = await readPatches(server);
  if (still !== undefined)
    throw new UserError(
      `${server.name}: expected nothing to ask for a reboot after it, got: ${still}; look at what its boot loader starts`,
    );
  return { before, after };
}

/** The checks of a deployment, against the settings that are deployed and not those that are about to be. */
async function verifyDeployed(session: Session, server: Server): Promise<readonly Check[]> {
  const { operator, stack, pulumi } = session;
  const [{ record: declared }, configuration, { releases }] = [
    await readDeployedState(stack, pulumi),
    await readConfiguration({ stack, showSecrets: true }, pulumi),
    await readReleases(server),
  ];
  const { environment, pending } = deployedSettings({
    ...{ stack, configuration, record: declared },
    readFile: operator.readSettingsFile,
  });
  if (pending.length > 0) operator.say(`not deployed yet, so not verified: ${pending.join(", ")}`);
  const earlier = lastGood(releases, Infinity)?.verify ?? [];
  const checks = await operator.verify({ ...session.context, environment, earlier });
  for (const line of renderChecks("verify", checks)) operator.say(line);
  return checks;
}

interface Result {
  readonly described: string;
  readonly rebooted: { readonly before: Boot; readonly after: Boot } | undefined;
  readonly checks: readonly Check[];
}

async function finish(work: Work, { described, rebooted, checks }: Result): Promise<Outcome> {
  const { server, request, patches } = work;
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  const verified =
    failed.length === 0
      ? "vérification réussie"
      : `vérification en échec (${failed.map(({ title }) => title).join(", ")})`;
  await record(work, `maintenance terminée, ${describeReboot(rebooted)}, ${verified} : ${described}`);
  const stage = failed.length === 0 ? "finished" : "failed";
  await tell(work, { stage, detail: `${describeReboot(rebooted)}, ${verified}` });
  const lines = [
    `${request.stack}: ${count(patches.upgrades.length, "upgrade")} installed, ${rebooted === undefined ? "no reboot was required" : "the server was rebooted"}`,
    ...renderKept(patches),
  ];
  if (failed.length === 0) {
    await noteEnded(server);
    return { text: [...lines, "everything passed its verification"].join("\n"), exitCode: EXIT.ok };
  }
  const symptom = `vérification en échec après la maintenance (${described})`;
  await openIncident(work, { description: symptom, checks });
  const what = `${count(failed.length, "check")} failed: see above and docs/runbook.md; npm run maintain -- ${request.stack} verifies again`;
  return { text: [...lines, what].join("\n"), exitCode: EXIT.failed };
}

function describeReboot(rebooted: Result["rebooted"]): string {
  if (rebooted === undefined) return "sans redémarrage";
  const { before, after } = rebooted;
  return before.kernel === after.kernel
    ? "serveur redémarré"
    : `serveur redémarré, noyau ${before.kernel} → ${after.kernel}`;
}

async function openIncident(
  work: Work,
  { description, checks }: { readonly description: string; readonly checks: readonly Check[] },
): Promise<void> {
  const { session, request } = work;
  const incident = describeFailure({
    stack: request.stack,
    description: session.redact(description),
    checks,
  });
  const opened = await reportIncident(incident, session.operator);
  if (opened === undefined) return;
  const detail = `${opened.id} ${opened.isNew ? "ouvert" : "constaté à nouveau"} : maintenance`;
  await session.audit({ action: "incident", reason: "", detail });
}
