/** The images of the settings: whether their registries have them, and whether they fit on the server. */
import type { Check } from "../../common/check.ts";
import { reasonOf } from "../../common/reason.ts";
import { findImage, ImageMissing, type RegistryLogin } from "../../common/registry.ts";
import type { Environment } from "../../stacks/environment.ts";
import { imagesInUse, isBuilt, loginOf } from "../../stacks/images.ts";
import { Unreachable } from "../vendors/calls.ts";
import { askServer, type CheckContext } from "./context.ts";
import { type Machine, probesOf } from "./machines.ts";
import { failed, type Finding, notChecked, ok, runProbe, runProbes } from "./probe.ts";
import { checkRoomFor, type KnownImage } from "./server/machine.ts";

const MIB = 1024 * 1024;

/** Checks the images first, then the room for them. */
export async function checkImages(
  context: CheckContext,
  { machines, fetch }: { readonly machines: readonly Machine[]; readonly fetch: typeof globalThis.fetch },
): Promise<Check[]> {
  let images: readonly KnownImage[] = [];
  const found = await runProbe(
    {
      id: "images",
      title: "Images présentes dans le registre, avec leur empreinte",
      limitSeconds: 60,
      async find(signal) {
        const login = loginOf(context.environment, context.secrets["registryPassword"]);
        const { finding, ...known } = await findImages(context.environment, { fetch, signal, login });
        images = known.images;
        return finding;
      },
    },
    context,
  );
  const { environment } = context;
  const room = probesOf(
    // Each of them pulls all images.
    machines.filter(({ runsServices }) => runsServices),
    {
      id: "room",
      title: "Espace disque et mémoire suffisants pour les nouvelles images",
      limitSeconds: 60,
    },
    ({ access, keepsMonitoring }) =>
      askServer(access, (server) =>
        found.outcome === "ok"
          ? checkRoomFor(images, { server, environment, keepsMonitoring })
          : notChecked("la taille des images n'est pas connue"),
      ),
  );
  return [found, ...(await runProbes(room, context))];
}

/** Looks up every image that the environment runs. */
export async function findImages(
  environment: Environment,
  request: {
    readonly fetch: typeof fetch;
    readonly signal: AbortSignal;
    readonly login?: RegistryLogin | undefined;
  },
): Promise<{ readonly finding: Finding; readonly images: readonly KnownImage[] }> {
  const images: KnownImage[] = [];
  const problems: string[] = [];
  const silent: string[] = [];
  await Promise.all(
    imagesInUse(environment).map(async ({ service, name }) => {
      try {
        images.push({ service, ...(await findImage(name, request)) });
      } catch (error) {
        if (error instanceof Unreachable) silent.push(error.message);
        else if (error instanceof ImageMissing && isBuilt(service))
          problems.push(`${error.message}, npm run images -- build ${environment.name} la construit`);
        else problems.push(reasonOf(error));
      }
    }),
  );
  request.signal.throwIfAborted();

  const downloadMib = Math.round(images.reduce((sum, image) => sum + image.downloadBytes, 0) / MIB);
  const measures = { images: images.length, downloadMib };
  const digests = images
    .toSorted((a, b) => a.service.localeCompare(b.service))
    .map(({ service, digest }) => `${service} ${digest.slice(0, 19)}`);
  if (problems.length > 0) return { images, finding: failed(problems.sort().join(" ; "), measures) };
  if (silent.length > 0) {
    return { images, finding: notChecked([...new Set(silent)].join(" ; "), measures) };
  }
  const detail = `${digests.join(", ")} ; ${downloadMib} Mio à charger au plus`;
  return { images, finding: ok(detail, measures) };
}
