/** `npm run maintain`: lists, plan, window, upgrade, reboot, verify and record. */
import { setTimeout as wait } from "node:timers/promises";

import { script } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { renderChecks } from "../deploy/render.ts";
import { Session, type Operator } from "../deploy/session.ts";
import { renderInstant, windowAt } from "../deploy/window.ts";
import type { Server } from "../server/connection.ts";
import { readPatches, renderUpgrade, type Patches } from "./patches.ts";

const program = (name: string) => script(new URL(name, import.meta.url));
const UPDATE_LISTS = program("update-lists.sh");
const UPGRADE = program("upgrade.sh");
const SETTLE = program("settle.sh");

/** A container shares its host's boot id, so the first process counts, too. */
const BOOT = `echo "$(cat /proc/sys/kernel/random/boot_id) $(cut --delimiter ' ' --fields 22 /proc/1/stat)"`;
// The answer has to arrive before the connection ends.
const REBOOT = "systemd-run --quiet --collect --on-active=2 systemctl reboot";

const REBOOT_SECONDS = 600;

export interface MaintainRequest {
  readonly stack: string;
  readonly emergency: boolean;

  /** Always there in an emergency. */
  readonly reason: string;
  readonly yes: boolean;

  /** Between two looks at a server that reboots. @default 5 */
  readonly retrySeconds?: number;
}

export async function maintain(request: MaintainRequest, operator: Operator): Promise<Outcome> {
  const { stack } = request;
  const why = request.reason === "" ? "maintenance" : `maintenance: ${request.reason}`;
  return await Session.during({ stack, why, operator }, async (session) => {
    const { server } = session;
    if (server === undefined)
      throw new UserError(`${stack} is not deployed; deploy it with npm run deploy -- ${stack}`);
    await server.run({ purpose: "read the package lists", script: UPDATE_LISTS, timeoutSeconds: 1500 });
    const patches = await readPatches(server);
    if (patches.upgrades.length === 0 && patches.reboot === undefined)
      return { text: `${stack}: nothing to upgrade, and no reboot is required`, exitCode: EXIT.ok };
    for (const line of renderPlan(patches)) operator.say(line);
    const refusal = await refuse(request, { session, operator });
    if (refusal !== undefined) return { text: refusal, exitCode: EXIT.refused };
    const { retrySeconds = 5 } = request;
    return await carryOut(request, { session, server, patches, retrySeconds });
  });
}

function renderPlan({ upgrades, engine, reboot }: Patches): string[] {
  return [
    ...(upgrades.length === 0 ? [] : [`${upgrades.length} upgrades:`]),
    ...upgrades.map((upgrade) => `  ${renderUpgrade(upgrade)}`),
    ...(engine.length === 0 ? [] : ["Docker restarts: everything is down for about a minute"]),
    reboot === undefined
      ? "the server reboots where an upgrade asks for it: everything is down for some minutes"
      : `the server reboots (${reboot}): everything is down for some minutes`,
  ];
}

/** Why nothing may be changed now. */
async function refuse(
  { stack, emergency, yes }: MaintainRequest,
  { session, operator }: { readonly session: Session; readonly operator: Operator },
): Promise<string | undefined> {
  const state = windowAt(session.environment.operations, operator.now());
  if (!state.open) {
    const next = state.next === undefined ? "none within two years" : renderInstant(state.next);
    const closed = `the window of ${stack} is closed, because ${state.why}; next opening: ${next}`;
    if (!emergency)
      return `${closed}\nin an emergency continue with --emergency --reason "…", which is recorded`;
    operator.say(`${closed}\ncontinuing (--emergency)`);
  }
  return yes || (await operator.confirm(`Upgrade ${stack} now?`))
    ? undefined
    : "cancelled; nothing was changed";
}

interface Work {
  readonly retrySeconds: number;
  readonly session: Session;
  readonly server: Server;
  readonly patches: Patches;
}

async function carryOut({ stack, reason }: MaintainRequest, work: Work): Promise<Outcome> {
  const { session, patches } = work;
  const { operator } = session;
  const done = patches.upgrades.map(renderUpgrade).join(", ") || "aucune mise à jour";
  const record = (detail: string) => session.audit({ action: "maintenance", reason, detail });
  await record(`maintenance commencée : ${done}`);
  try {
    const reboot = await upgradeAndReboot(work);
    const checks = await operator.verify(session.context);
    for (const line of renderChecks("verify", checks)) operator.say(line);
    session.signal.throwIfAborted();
    const failed = checks.filter(({ outcome }) => outcome === "failed");
    const rebooted = reboot === undefined ? "sans redémarrage" : `serveur redémarré (${reboot})`;
    await record(
      failed.length === 0
        ? `maintenance terminée, ${rebooted}, vérification réussie : ${done}`
        : `maintenance terminée, ${rebooted}, vérification en échec (${failed.map(({ title }) => title).join(", ")}) : ${done}`,
    );
    const upgraded = `${stack}: ${patches.upgrades.length} upgrades installed, ${reboot === undefined ? "no reboot was required" : "the server was rebooted"}`;
    return failed.length === 0
      ? { text: `${upgraded}; everything passed its verification`, exitCode: EXIT.ok }
      : {
          text: `${upgraded}; ${failed.length} checks failed: look at them above, then at docs/runbook.md`,
          exitCode: EXIT.failed,
        };
  } catch (error) {
    await record(`maintenance interrompue : ${(error as Error).message}`).catch((late: unknown) =>
      operator.say(`the end could not be recorded: ${(late as Error).message}`),
    );
    throw error;
  }
}

/** Why the server was rebooted; undefined when it was not. */
async function upgradeAndReboot(work: Work): Promise<string | undefined> {
  const { session, server, patches } = work;
  const { say } = session.operator;
  if (patches.upgrades.length > 0) {
    say("installing the upgrades");
    await server.run({ purpose: "install the upgrades", script: UPGRADE, timeoutSeconds: 3600 });
    await server.run({ purpose: "wait for the services", script: SETTLE, timeoutSeconds: 330 });
  }
  session.signal.throwIfAborted();
  const { reboot } = await readPatches(server);
  if (reboot === undefined) return undefined;
  say(`rebooting the server: ${reboot}`);
  await rebootServer(work);
  await server.run({ purpose: "wait for the services", script: SETTLE, timeoutSeconds: 330 });
  return reboot;
}

async function rebootServer({ session, server, retrySeconds }: Work): Promise<void> {
  const { operator, signal } = session;
  const readBoot = async (timeoutSeconds: number) =>
    (await server.run({ purpose: "see when the server booted", script: BOOT, timeoutSeconds })).stdout.trim();
  const before = await readBoot(60);
  await server.run({ purpose: "reboot the server", script: REBOOT });
  const deadline = operator.now().getTime() + REBOOT_SECONDS * 1000;
  for (;;) {
    await wait(retrySeconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
    const boot = await readBoot(20).catch((error: unknown) => {
      if (error instanceof UserError) return undefined;
      throw error;
    });
    if (boot !== undefined && boot !== before) return;
    if (operator.now().getTime() > deadline)
      throw new UserError(
        `${server.name}: expected the server to be back within ${REBOOT_SECONDS / 60} minutes of its reboot, got no answer; look at its console in OVH's control panel, and at docs/runbook.md`,
      );
  }
}
