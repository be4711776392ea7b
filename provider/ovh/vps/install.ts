import { UserError } from "../../../common/user-error.ts";
import { OvhError } from "../errors.ts";
import {
  awaitRest,
  isInstallation,
  isUnfinished,
  pollFor,
  serverPath,
  type Task,
  type Work,
} from "./server-api.ts";

/** What goes onto the disk of a new server. */
export interface Installation {
  readonly image: string;
  readonly publicKey: string;
}

/**
 * Installs image and key on a server that our own order brought, once.
 *
 * A reinstallation that the server went through since it was delivered, or goes through now, is ours: an earlier run asked for it.
 */
export async function installOnce(work: Work, serviceName: string, wanted: Installation): Promise<void> {
  const { journal } = work;
  const tasks = await awaitRest(work, serviceName);
  const installation = journal.entry.install ?? noteInstallation(work, tasks, wanted);
  const isOurs = (task: Task): boolean =>
    isInstallation(task) &&
    !installation.knownTasks.includes(task.id) &&
    (task.state === "done" || isUnfinished(task));
  if (!tasks.some(isOurs)) {
    // Nothing was installed yet, so what is wanted by now counts.
    journal.note({ install: { ...installation, ...wanted } });
    await awaitInstallation(work, serviceName, await rebuild(work, serviceName, wanted));
    return;
  }
  refuseOther(serviceName, installation, wanted);
}

function noteInstallation(
  work: Work,
  tasks: readonly Task[],
  wanted: Installation,
): Installation & { knownTasks: readonly number[] } {
  // Without a journal this goes on with what another machine began, and there every reinstallation counts.
  const isFirstLook = work.journal.entry.order !== undefined;
  const knownTasks = isFirstLook ? tasks.filter(isInstallation).map(({ id }) => id) : [];
  const install = { knownTasks, ...wanted };
  work.journal.note({ install });
  return install;
}

async function rebuild(work: Work, serviceName: string, { image, publicKey }: Installation): Promise<Task> {
  const { client, call, pace } = work;
  const imageId = await findImage(work, serviceName, image);
  call.log.info(`${serviceName}: installing ${image} with your key`);
  const late = (): string =>
    `${serviceName}: expected it to be at rest, got one task after the other; run pulumi up again later`;
  return pollFor(work, { limitMs: pace.tasksMs, late }, async () => {
    try {
      return await client.post<Task>(
        `${serverPath(serviceName)}/rebuild`,
        { imageId, publicSshKey: publicKey, doNotSendPassword: true },
        { signal: call.signal },
      );
    } catch (error) {
      // A task that started since the last look; nothing was done.
      if (error instanceof OvhError && error.isBusy) return undefined;
      throw error;
    }
  });
}

async function findImage({ client, call }: Work, serviceName: string, image: string): Promise<string> {
  const path = `${serverPath(serviceName)}/images/available`;
  const { signal } = call;
  const ids = await client.get<readonly string[]>(path, { signal });
  const images = await Promise.all(
    ids.map((id) =>
      client.get<{ id: string; name: string }>(`${path}/${encodeURIComponent(id)}`, { signal }),
    ),
  );
  const found = images.find(({ name }) => isSameImage(name, image));
  if (found) return found.id;
  const names = images.map(({ name }) => name).sort();
  throw new UserError(
    `server.image: expected an image that ${serviceName} can be installed with, got "${image}"; set it to one of ${names.join(", ")}`,
  );
}

export function isSameImage(a: string, b: string): boolean {
  return a.trim().toLowerCase() === b.trim().toLowerCase();
}

async function awaitInstallation(work: Work, serviceName: string, { id }: Task): Promise<void> {
  const tasks = await awaitRest(work, serviceName);
  const task = tasks.find((candidate) => candidate.id === id);
  if (!task || task.state === "done") return;
  throw new UserError(
    `${serviceName}: expected the installation to succeed, got task ${id} "${task.state}"; run pulumi up again, which tries again, ` +
      "or ask OVH's support when that fails too",
  );
}

function refuseOther(serviceName: string, installed: Installation, wanted: Installation): void {
  const what = !isSameImage(installed.image, wanted.image)
    ? `${installed.image}, which it was installed with, got ${wanted.image}; set server.image back`
    : !isSameKey(installed.publicKey, wanted.publicKey)
      ? "the key it was installed with, got another; set ssh.publicKey back"
      : undefined;
  if (what === undefined) return;
  throw new UserError(
    `${serviceName}: expected ${what}, or reinstall it yourself in OVH's control panel, which wipes the disk, and then run pulumi up --refresh`,
  );
}

/** Whether two public keys are the same, whatever their comments. */
export function isSameKey(a: string, b: string): boolean {
  return essence(a) === essence(b);
}

function essence(key: string): string {
  return key.trim().split(/\s+/).slice(0, 2).join(" ");
}
