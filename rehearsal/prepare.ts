/** What `npm start` prepares before it deploys. Whatever exists already stays as it is. */
import { mkdir } from "node:fs/promises";

import { Listr } from "listr2";

import { STATE } from "./addresses.ts";
import type { Asked } from "./arguments.ts";
import { ensureChoices } from "./choices.ts";
import { ensureDocker } from "./docker.ts";
import { type Engine, prepareEngine } from "./engine/prepare.ts";
import { type Images, prepareImages } from "./images/build.ts";
import { lendImages } from "./images/lend.ts";
import { publishImages } from "./images/publish.ts";
import { ensureOperator } from "./operator-files.ts";
import { ensureServicesRepository } from "./services-repository.ts";
import { buildOwnImages, ensureStack, resumeKilledRun } from "./stack.ts";
import { type Accounts, type Answers, domainOf, ensureAccounts, ensureSettings } from "./stack-settings.ts";
import { renderVariants } from "./variants.ts";
import { ensureWorld, OWNED_SERVER, type WorldOptions } from "./world.ts";

export async function prepare(stack: string, asked: Asked): Promise<Engine> {
  await mkdir(STATE, { recursive: true, mode: 0o700 });
  await show([{ title: "Docker's engine", work: ensureDocker }]);
  const { system, variants } = await ensureChoices(asked);
  const shape = renderVariants(variants, domainOf(stack));
  const server = { system, serviceName: shape.isOwned ? OWNED_SERVER : undefined };
  const accounts = await ensureAccounts();
  await ensureOperator();
  const [engine, images] = await show([
    {
      title: `Pulumi and the stack ${stack}`,
      work: (shown) => preparePulumi({ stack, accounts, server }, shown),
    },
    {
      title: "images, OVH, Cloudflare, name server, registry and ACME",
      work: (shown) => prepareWorld({ accounts, system, shape }, shown),
    },
  ]);
  await show([
    {
      title: `settings of ${stack}, and the images of TechnicIA's own services`,
      work: async () => {
        const sources = await ensureServicesRepository(images.bases);
        await ensureSettings({ stack, accounts, ...server, images: images.overrides, sources });
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
  return engine;
}

async function preparePulumi(
  {
    stack,
    accounts,
    server,
  }: {
    readonly stack: string;
    readonly accounts: Accounts;
    readonly server: Pick<Answers, "system" | "serviceName">;
  },
  { progress, rename }: Shown,
): Promise<Engine> {
  const engine = await prepareEngine({ progress });
  rename(`engine: ${engine.description}`);
  progress(`creating the stack ${stack} and its secrets`);
  await ensureStack({ stack, engine }, { accounts, ...server });
  return engine;
}

async function prepareWorld({ accounts, system, shape }: WorldOptions, { progress }: Shown): Promise<Images> {
  const images = await prepareImages({ progress, system });
  await Promise.all([publishImages(images, { progress }), ensureWorld(images, { accounts, system, shape })]);
  await lendImages(images.published);
  return images;
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
