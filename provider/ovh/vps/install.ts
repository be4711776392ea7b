import { UserError } from "../../../common/user-error.ts";
import { OvhError } from "../errors.ts";
import {
  awaitRest,
  isInstallation,
  isUnfinished,
  pollFor,
  serverPath,
  type Task,
  type VpsContext,
} from "./server-api.ts";

/** What is installed on the disk of a new server. */
export interface Installation {
  readonly image: string;
  readonly publicKey: string;
}

/**
 * Installs image and key once, on a server that was ordered here.
 *
 * A reinstallation since the delivery, finished or under way, is ours: an earlier run requested it.
 */
export async function installOnce(
  context: VpsContext,
  serviceName: string,
  wanted: Installation,
): Promise<void> {
  const { journal } = context;
  const tasks = await awaitRest(context, serviceName);
  const installation = journal.entry.install ?? noteInstallation(context, tasks, wanted);
  const isOurs = (task: Task): boolean =>
    isInstallation(task) &&
    !installation.knownTasks.includes(task.id) &&
    (task.state === "done" || isUnfinished(task));
  if (!tasks.some(isOurs)) {
    // Nothing is installed yet, so the inputs of this run count.
    journal.note({ install: { ...installation, ...wanted } });
    await awaitInstallation(context, serviceName, await rebuild(context, serviceName, wanted));
    return;
  }
  refuseOther(serviceName, installation, wanted);
}

function noteInstallation(
  context: VpsContext,
  tasks: readonly Task[],
  wanted: Installation,
): Installation & { knownTasks: readonly number[] } {
  // Without a journal this continues the work of another machine, and every reinstallation counts.
  const isFirstLook = context.journal.entry.order !== undefined;
  const knownTasks = isFirstLook ? tasks.filter(isInstallation).map(({ id }) => id) : [];
  const install = { knownTasks, ...wanted };
  context.journal.note({ install });
  return install;
}

async function rebuild(
  context: VpsContext,
  serviceName: string,
  { image, publicKey }: Installation,
): Promise<Task> {
  const { client, call, pace } = context;
  const imageId = await findImage(context, serviceName, image);
  call.log.info(`${serviceName}: installing ${image} with your key`);
  const late = (): string =>
    `${serviceName}: OVH keeps starting other tasks on it; run pulumi up again later`;
  return pollFor(context, { limitMs: pace.tasksMs, late }, async () => {
    try {
      return await client.post<Task>(
        `${serverPath(serviceName)}/rebuild`,
        { imageId, publicSshKey: publicKey, doNotSendPassword: true },
        { signal: call.signal },
      );
    } catch (error) {
      // A task has started since the last look, and OVH did nothing.
      if (error instanceof OvhError && error.isBusy) return undefined;
      throw error;
    }
  });
}

async function findImage({ client, call }: VpsContext, serviceName: string, image: string): Promise<string> {
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

async function awaitInstallation(context: VpsContext, serviceName: string, { id }: Task): Promise<void> {
  const tasks = await awaitRest(context, serviceName);
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

/** Whether two public keys are equal apart from their comments. */
export function isSameKey(a: string, b: string): boolean {
  return essence(a) === essence(b);
}

function essence(key: string): string {
  return key.trim().split(/\s+/).slice(0, 2).join(" ");
}
