/** `npm run images -- build`: builds the images of TechnicIA's own services on this machine, pushes them, and pins their digests. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type BuiltService, builtServices } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import { commandsFor, nameOf } from "../../stacks/config-command.ts";
import type { Environment } from "../../stacks/environment.ts";
import { builtImage, loginOf } from "../../stacks/images.ts";
import type { Outcome } from "../command.ts";
import { readSettings } from "../engine/settings.ts";
import { renderTable } from "../terminal.ts";
import { writeImages } from "./image-commands.ts";
import { fetchSource, type Source } from "./image-sources.ts";
import { LocalDocker } from "./local-docker.ts";
import { EXIT } from "./release-progress.ts";
import type { Operator } from "./session.ts";

interface Build {
  readonly service: BuiltService;
  readonly source: Source;
  /** Name that it is pushed under, without digest. */
  readonly name: string;
}

type BuildOperator = Pick<Operator, "pulumi" | "signal" | "say" | "readSettingsFile" | "writeSettingsFile">;

export async function buildImages(stack: string, operator: BuildOperator): Promise<Outcome> {
  const { environment, secrets } = await readSettings(stack, operator.pulumi);
  const builds = buildsOf(stack, environment);
  const folder = await mkdtemp(join(tmpdir(), "technicia-images-"));
  try {
    const docker = await LocalDocker.open(folder, operator.signal);
    const login = loginOf(environment, secrets["registryPassword"]);
    if (login) await docker.login(login, stack);
    const contexts = new Map<Build, string>();
    // Every source is checked before the first build, which takes minutes.
    for (const build of builds) contexts.set(build, await fetchSource(build, { folder, ...operator }));
    const images: Partial<Record<BuiltService, string>> = {};
    for (const [{ name, service, source }, context] of contexts) {
      operator.say(`building ${name}`);
      await docker.build({ name, context, labels: labelsOf(source), setting: `images.sources.${service}` });
      operator.say(`pushing ${name}`);
      images[service] = `${name}@${await docker.push(name)}`;
    }
    return await pin(stack, { builds, images, operator });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What to build: every service that has a source. */
function buildsOf(stack: string, environment: Environment): Build[] {
  const wanted = builtServices.flatMap((service): Build[] => {
    const source = environment.builds.sources[service];
    if (source === undefined) return [];
    return [{ service, source, name: builtImage(environment, service)! }];
  });
  if (wanted.length > 0) return wanted;
  const commands = commandsFor(stack);
  const path = ["images", "sources", "vectorStore"];
  const set = ["repository", "commit", "folder"].map((key) => commands.set([...path, key]));
  throw new UserError(
    `${nameOf(path)}: expected where the service's code is, got nothing; set it with\n  ${set.join("\n  ")}\n` +
      `and the registry with ${commands.set(["images", "registry"], "registry.exemple.fr/technicia")}`,
  );
}

/** What the standard of images calls where an image comes from. */
function labelsOf({ repository, commit }: Source): Readonly<Record<string, string>> {
  return {
    "org.opencontainers.image.source": repository,
    "org.opencontainers.image.revision": commit,
  };
}

async function pin(
  stack: string,
  built: {
    readonly builds: readonly Build[];
    readonly images: Readonly<Partial<Record<BuiltService, string>>>;
    readonly operator: BuildOperator;
  },
): Promise<Outcome> {
  const { builds, images, operator } = built;
  const { path, isNew } = await writeImages(stack, images, operator);
  const table = renderTable({
    headings: ["Image", "Commit", "Digest"],
    rows: builds.map(({ service, source }) => [
      service,
      source.commit.slice(0, 12),
      images[service]?.replace(/^.*@/, "").slice(0, 19) ?? "",
    ]),
  });
  const next = isNew ? `look at it with git diff ${path}` : `${path} already names these digests`;
  return { text: `${table}\n\n${next}`, exitCode: EXIT.ok };
}
