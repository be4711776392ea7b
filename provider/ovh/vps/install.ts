import { UserError } from "../../../common/user-error.ts";
import type { OvhClient } from "../client.ts";
import { OvhError } from "../errors.ts";
import { serverPath, type VpsContext } from "../order/context.ts";
import { poll } from "../poll.ts";
import { awaitRest, isInstallation, isUnfinished, type Task } from "./server-api.ts";

/** What is installed on the disk of a new server. */
interface Installation {
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
  { serviceName, wanted }: { readonly serviceName: string; readonly wanted: Installation },
): Promise<void> {
  const { journal } = context;
  const tasks = await awaitRest(context, serviceName);
  const installation = journal.entry.install ?? noteInstallation(context, { tasks, ...wanted });
  const isOurs = (task: Task): boolean =>
    isInstallation(task) &&
    !installation.knownTasks.includes(task.id) &&
    (task.state === "done" || isUnfinished(task));
  if (!tasks.some(isOurs)) {
    // Nothing is installed yet, so the inputs of this run count.
    journal.note({ install: { ...installation, ...wanted } });
    const { id } = await rebuild(context, { ...wanted, serviceName });
    const task = (await awaitRest(context, serviceName)).find((candidate) => candidate.id === id);
    if (!task || task.state === "done") return;
    throw new UserError(
      `${serviceName}: expected the installation to succeed, got task ${id} "${task.state}"; run pulumi up again, which tries again, ` +
        "or ask OVH's support when that fails too",
    );
  }
  const what = !isSameImage(installation.image, wanted.image)
    ? `${installation.image}, which it was installed with, got ${wanted.image}; set server.image back`
    : !isSameKey(installation.publicKey, wanted.publicKey)
      ? "the key it was installed with, got another; set ssh.publicKey back"
      : undefined;
  if (what === undefined) return;
  throw new UserError(
    `${serviceName}: expected ${what}, or reinstall it yourself in OVH's control panel, which wipes the disk, and then run pulumi up --refresh`,
  );
}

function noteInstallation(
  context: VpsContext,
  { tasks, ...wanted }: Installation & { readonly tasks: readonly Task[] },
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
  { serviceName, image, publicKey }: Installation & { readonly serviceName: string },
): Promise<Task> {
  const { client, call, pace } = context;
  const imageId = await findImage(client, { serviceName, image });
  call.log.info(`${serviceName}: installing ${image} with your key`);
  const late = (): string =>
    `${serviceName}: OVH keeps starting other tasks on it; run pulumi up again later`;
  const look = async (): Promise<Task | undefined> => {
    try {
      const body = { imageId, publicSshKey: publicKey, doNotSendPassword: true };
      return await client.post<Task>(`${serverPath(serviceName)}/rebuild`, body);
    } catch (error) {
      // A task has started since the last look, and OVH did nothing.
      if (error instanceof OvhError && error.isBusy) return undefined;
      throw error;
    }
  };
  return poll(context, { limitMs: pace.tasksMs, late, look });
}

async function findImage(
  client: OvhClient,
  { serviceName, image }: { readonly serviceName: string; readonly image: string },
): Promise<string> {
  const path = `${serverPath(serviceName)}/images/available`;
  const ids = await client.get<readonly string[]>(path);
  const images = await Promise.all(
    ids.map((id) => client.get<{ id: string; name: string }>(`${path}/${encodeURIComponent(id)}`)),
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

/** Whether two public keys are equal apart from their comments. */
export function isSameKey(a: string, b: string): boolean {
  return essence(a) === essence(b);
}

function essence(key: string): string {
  return key.trim().split(/\s+/).slice(0, 2).join(" ");
}
