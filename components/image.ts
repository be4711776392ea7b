import type * as pulumi from "@pulumi/pulumi";

import * as technicia from "../provider/resources.ts";

/** Pulls an image on the host; returns its name with digest, which services run. */
export function pullImage(
  service: string,
  name: string,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  const label = service.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  return new technicia.Image(`image-${label}`, { name }, opts).reference;
}
