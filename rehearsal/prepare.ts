/** What `npm start` prepares before it deploys. Whatever exists already stays as it is. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { Listr } from "listr2";

import { STATE } from "./addresses.ts";
import type { Asked } from "./arguments.ts";
import { ensureAuthority } from "./authority.ts";
import { ensureChoices } from "./choices.ts";
import { ensureDocker } from "./docker.ts";
import { type Engine, prepareEngine } from "./engine/prepare.ts";
import { type FirstImages, type Images, prepareFirstImages } from "./images/build.ts";
import { lendImages } from "./images/lend.ts";
import { publishImages } from "./images/publish.ts";
import { ensureMail } from "./mail.ts";
import { neighbourEntry, neighbourOf, watchesNeighbour } from "./neighbour.ts";
import { ensureOperator } from "./operator-files.ts";
import { ensureServicesRepository, type RehearsedSources } from "./services-repository.ts";
import { requireOwnWorld } from "./own-world.ts";
import { buildOwnImages, ensureStack, resumeKilledRun, type StackOptions } from "./stack.ts";
import type { StackName } from "./stack-names.ts";
import { type Accounts, domainOf, ensureAccounts, ensureSettings, isMonitored } from "./stack-settings.ts";
import { renderVariants } from "./variants.ts";
import { ensureWorld, OWNED_SERVER, type WorldOptions } from "./world.ts";

/** What a deployment starts with. */
export interface Prepared {
  readonly engine: Engine;

  /** The monitoring, where its images are still being made; undefined where nothing is left to do. */
  readonly rest?: Rest;

  /** The second environment; undefined where none was asked for. */
  readonly neighbour?: Neighbour;
}

/** An environment that is deployed once the first one is, its monitoring included. */
export interface Neighbour {
  readonly stack: StackName;

  /** Prepares its deployment, as `prepare` does for the first one. */
  readonly prepare: () => Promise<void>;

  /** Has the first one watch it, once it is deployed. Returns whether that changed the settings of the first one. */
  readonly join: () => Promise<boolean>;
}

/** What goes on while the site is deployed. */
export interface Rest {
  /** Waits for it and switches the monitoring on in the settings; to be called once. */
  readonly finish: () => Promise<void>;

  /** Gives it up; the next start goes on. */
  readonly stop: () => void;
}

export async function prepare(stack: StackName, asked: Asked): Promise<Prepared> {
  await mkdir(STATE, { recursive: true, mode: 0o700 });
  await show([{ title: "Docker's engine", work: ensureDocker }]);
  await requireOwnWorld();
  const { system, variants, hasNeighbour, servers } = await ensureChoices(asked);
  const shape = renderVariants(variants, domainOf(stack));
  const server = { system, serviceName: shape.isOwned ? OWNED_SERVER : undefined, servers };
  const accounts = await ensureAccounts();
  await ensureOperator();
  const [engine, first] = await show([
    {
      title: `Pulumi and the stack ${stack}`,
      work: (shown) => preparePulumi(stack, { accounts, hasNeighbour, ...server }, shown),
    },
    {
      title: "images, OVH, Cloudflare, name server, registry and ACME",
      work: (shown) => prepareWorld({ accounts, system, shape, hasNeighbour, servers }, shown),
    },
  ]);
  const { images } = first;
  const isLeft = !first.areOthersHere && (await isMonitored(stack));
  // A deployment that has its monitoring keeps it, and waits.
  const mayFollow = isLeft && !(await isMonitored(stack, STATE));
  const sources = await ensureServicesRepository(images.bases);
  const common = { accounts, system, images: images.overrides, sources };
  const write = (lacksMonitoring: boolean, isWatching: boolean) =>
    ensureSettings({
      ...{ stack, ...common, ...server, lacksMonitoring },
      ...(isWatching && { neighbour: neighbourEntry(neighbourOf(stack)) }),
    });
  const isWatching = hasNeighbour && (await watchesNeighbour(stack));
  await prepareImages({ stack, engine }, { sources, write: () => write(mayFollow, isWatching) });
  const neighbour = hasNeighbour
    ? planNeighbour({ watcher: stack, engine }, { ...common, join: () => write(false, true) })
    : undefined;
  const prepared = { engine, ...(neighbour && { neighbour }) };
  if (!isLeft) return prepared;
  const rest = startRest(first, { accounts, finish: () => write(false, isWatching) });
  if (mayFollow) return { ...prepared, rest };
  await rest.finish();
  return prepared;
}

/** The stack's settings, what they need, and the end of a run that was killed. */
async function prepareImages(
  { stack, engine }: { readonly stack: StackName; readonly engine: Engine },
  { sources, write }: { readonly sources: RehearsedSources; readonly write: () => Promise<void> },
): Promise<void> {
  await show([
    {
      title: `settings of ${stack}, and the images of TechnicIA's own services`,
      work: async () => {
        await write();
        await buildOwnImages({ stack, engine }, sources);
      },
    },
  ]);
  await show([
    {
      title: "what a killed run left",
      work: async ({ rename }) => {
        const left = await resumeKilledRun({ stack, engine });
        if (left !== undefined) rename(`the last run was killed: ${left}`);
      },
    },
  ]);
}

/** The second environment; `join` writes the settings of the first one, the watcher, with it as its neighbour. */
function planNeighbour(
  { watcher, engine }: { readonly watcher: StackName; readonly engine: Engine },
  {
    join,
    ...common
  }: Pick<Parameters<typeof ensureSettings>[0], "accounts" | "system" | "images"> & {
    readonly sources: RehearsedSources;
    readonly join: () => Promise<void>;
  },
): Neighbour {
  const stack = neighbourOf(watcher);
  const { accounts, system, sources } = common;
  const small = { serviceName: undefined, isSmall: true, servers: "1" } as const;
  return {
    stack,
    prepare: async () => {
      await show([
        {
          title: `the stack ${stack} and its secrets`,
          work: () => ensureStack({ stack, engine }, { accounts, system, hasNeighbour: true, ...small }),
        },
      ]);
      const write = () => ensureSettings({ stack, ...common, ...small, neighbour: neighbourEntry(watcher) });
      await prepareImages({ stack, engine }, { sources, write });
    },
    join: async () => {
      if (await watchesNeighbour(watcher)) return false;
      await join();
      return true;
    },
  };
}

/** Makes the images that no visitor waits for, with the processor time that is left, and what they are for. */
function startRest(
  { addOthers }: FirstImages,
  { accounts, finish }: { readonly accounts: Accounts; readonly finish: () => Promise<void> },
): Rest {
  const stopping = new AbortController();
  const making = addOthers(stopping.signal);
  // Whoever waits for it is told.
  making.catch(() => undefined);
  const work = async ({ progress }: Shown): Promise<void> => {
    const images = await making;
    await publishImages(images, { progress });
    if (images.mailpit !== undefined) await ensureMail(images.mailpit, accounts.smtpPassword);
    await finish();
  };
  return {
    finish: async () => {
      await show([{ title: "images of the monitoring, and mail", work }]);
    },
    stop: () => stopping.abort(),
  };
}

async function preparePulumi(
  stack: StackName,
  options: StackOptions,
  { progress, rename }: Shown,
): Promise<Engine> {
  const engine = await prepareEngine({ progress });
  rename(`engine: ${engine.description}`);
  progress(`creating the stack ${stack} and its secrets`);
  await ensureStack({ stack, engine }, options);
  return engine;
}

async function prepareWorld(options: WorldOptions, { progress }: Shown): Promise<FirstImages> {
  const authority = await ensureAuthority(join(STATE, "authority"));
  const first = await prepareFirstImages({ progress, system: options.system, authority });
  const images: Images = first.areOthersHere ? await first.addOthers() : first.images;
  await Promise.all([publishImages(images, { progress }), ensureWorld(images, options)]);
  await lendImages(images.published);
  return { ...first, images };
}

/** How a step shows what it is doing. */
interface Shown {
  readonly progress: (line: string) => void;

  /** Gives the step another title. */
  readonly rename: (title: string) => void;
}

interface Step<Result> {
  readonly title: string;
  readonly work: (shown: Shown) => Promise<Result>;
}

/** Runs steps at the same time, shows how far each is, and returns their results. */
async function show<Results extends readonly unknown[]>(steps: {
  readonly [Index in keyof Results]: Step<Results[Index]>;
}): Promise<Results> {
  const results: unknown[] = [];
  const tasks = steps.map(({ title, work }, at) => ({
    title,
    task: async (_: unknown, task: { title: string; output: string }) => {
      results[at] = await work({
        progress: (line) => (task.output = line),
        rename: (title) => (task.title = title),
      });
    },
  }));
  await new Listr(tasks, { concurrent: true, fallbackRenderer: "simple" }).run();
  return results as unknown as Results;
}
