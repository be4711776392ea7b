/** The images of an environment: which it runs, which are built, and whether their registries have them. */
import { reasonOf } from "../common/reason.ts";
import { findImage, ImageMissing, type RegistryLogin, registryOf } from "../common/registry.ts";
import { type BuiltService, builtServices, enabledServices, imageOf, SERVICES } from "../common/services.ts";
import { UserError } from "../common/user-error.ts";
import { backupBucket } from "./backup-schema.ts";
import type { Environment } from "./environment.ts";

const LIMIT_MS = 5000;

export type ImageName = keyof Environment["images"];

/** Images that this environment runs; those of services that are off are never pulled. */
export function imagesInUse(
  environment: Pick<Environment, "images" | "services" | "monitoring" | "backup" | "name">,
): { service: ImageName; name: string }[] {
  const { images } = environment;
  const used = new Set<ImageName>(enabledServices(environment).map(imageOf));
  return (Object.keys(images) as ImageName[])
    .filter((image) => {
      if (image === "certbot") return true;
      if (image === "restic") return backupBucket(environment.name, environment.backup) !== undefined;
      return used.has(image);
    })
    .map((service) => ({ service, name: images[service] }));
}

/** Name, without a digest, of the image that `npm run images -- build` makes of a service; undefined without a source. */
export function builtImage(
  { builds }: Pick<Environment, "builds">,
  service: BuiltService,
): string | undefined {
  const source = builds.sources[service];
  return source && `${builds.registry}/${SERVICES[service].alias}:${source.commit.slice(0, 12)}`;
}

/** Whether the image is one of TechnicIA's own services. */
export function isBuilt(service: ImageName): service is BuiltService {
  return (builtServices as readonly string[]).includes(service);
}

/** The account at the registry of TechnicIA's own images; undefined where none is needed or known. */
export function loginOf(
  { builds }: Pick<Environment, "builds">,
  password: string | undefined,
): RegistryLogin | undefined {
  const { registry, registryUser: username } = builds;
  if (username === "" || !password) return undefined;
  return { host: registryOf(`${registry}/image`), username, password };
}

/**
 * Asks every registry from this machine. One that cannot be reached from here proves nothing: the server asks it again.
 *
 * @throws UserError that names each image that is not there, with the command that provides it
 */
export async function requireImages(
  environment: Environment,
  { fetch, login }: { readonly fetch: typeof globalThis.fetch; readonly login: RegistryLogin | undefined },
): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  const problems = await Promise.all(
    imagesInUse(environment).map(async ({ service, name }) => {
      try {
        await findImage(name, { fetch, signal, login });
        return [];
      } catch (error) {
        if (!(error instanceof ImageMissing)) return [];
        const remedy = isBuilt(service)
          ? `build it with npm run images -- build ${environment.name}`
          : `check its name with npm run images -- pin ${environment.name}`;
        return [
          `technicia:images.${service}: expected ${name} in its registry, got nothing that it shows us (${reasonOf(error)}); ${remedy}`,
        ];
      }
    }),
  );
  if (problems.flat().length > 0) throw new UserError(problems.flat().join("\n"));
}
