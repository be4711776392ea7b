import * as pulumi from "@pulumi/pulumi";

import type { Secrets } from "../secrets/resolve.ts";
import type { Environment } from "./environment.ts";
import { loginOf, requireImages } from "./images.ts";

/**
 * Before there is a server, nothing asks the registries: the engine does not preview what a server that is still unknown would be told.
 * So this machine does, and a first deployment buys and changes nothing when an image cannot be had.
 */
export async function checkFirstPreview<Deployment extends { readonly ssh: pulumi.Output<unknown> }>(
  { environment, secrets }: { readonly environment: Environment; readonly secrets: Secrets },
  deployment: Deployment,
): Promise<Deployment> {
  // How to log in is known as soon as there is a server.
  if (!pulumi.runtime.isDryRun() || (await isKnown(deployment.ssh))) return deployment;
  const password = secrets.has("registryPassword")
    ? await valueOf(secrets.value("registryPassword"))
    : undefined;
  await requireImages(environment, { fetch, login: loginOf(environment, password) });
  return deployment;
}

// The SDK has this property but does not declare it.
function isKnown(output: pulumi.Output<unknown>): Promise<boolean> {
  return (output as unknown as { readonly isKnown: Promise<boolean> }).isKnown;
}

function valueOf(output: pulumi.Output<string>): Promise<string> {
  return new Promise((resolve) => void output.apply(resolve));
}
