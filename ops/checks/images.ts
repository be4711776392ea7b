import { isServiceOn } from "../../common/services.ts";
import type { Environment } from "../../stacks/environment.ts";
import { failed, notChecked, ok, type Finding } from "./finding.ts";
import { reasonOf } from "../../common/reason.ts";
import { findImage, type RegistryImage } from "../vendors/registry.ts";
import { Unreachable } from "../vendors/http.ts";
import type { World } from "./world.ts";

const MIB = 1024 * 1024;

export type ImageName = keyof Environment["images"];

/** An image of the settings, as its registry knows it. */
export interface KnownImage extends RegistryImage {
  readonly service: ImageName;
  readonly name: string;
}

/** Images that this environment runs; those of services that are off are never pulled. */
export function imagesInUse(environment: Environment): { service: ImageName; name: string }[] {
  const { images } = environment;
  return (Object.keys(images) as ImageName[])
    .filter((image) => image === "certbot" || isServiceOn(image, environment))
    .map((service) => ({ service, name: images[service] }));
}

export interface ImagesFound {
  readonly finding: Finding;
  readonly images: readonly KnownImage[];
}

/** Whether every image can be had, and as what. */
export async function findImages(
  world: World,
  environment: Environment,
  signal: AbortSignal,
): Promise<ImagesFound> {
  const images: KnownImage[] = [];
  const problems: string[] = [];
  const unasked: string[] = [];
  await Promise.all(
    imagesInUse(environment).map(async ({ service, name }) => {
      try {
        images.push({ service, name, ...(await findImage(world, name, signal)) });
      } catch (error) {
        if (error instanceof Unreachable) unasked.push(error.message);
        else problems.push(reasonOf(error));
      }
    }),
  );
  signal.throwIfAborted();
  return { images, finding: judge(images, problems, unasked) };
}

function judge(
  images: readonly KnownImage[],
  problems: readonly string[],
  unasked: readonly string[],
): Finding {
  const downloadMib = Math.round(images.reduce((sum, image) => sum + image.downloadBytes, 0) / MIB);
  const measures = { images: images.length, downloadMib };
  if (problems.length > 0) return failed([...problems].sort().join(" ; "), measures);
  if (unasked.length > 0) return notChecked([...new Set(unasked)].join(" ; "), measures);
  const digests = [...images]
    .sort((a, b) => a.service.localeCompare(b.service))
    .map(({ service, digest }) => `${service} ${digest.slice(0, 19)}`);
  return ok(`${digests.join(", ")} ; ${downloadMib} Mio à charger au plus`, measures);
}
