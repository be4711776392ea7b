/** What the engine's state says about a deployment. */
import { z } from "zod";

import { stackOutputs, type StackOutputs } from "../../stacks/deployment-status.ts";
import { nameOf } from "../../common/urn.ts";
import type { Pulumi } from "./cli.ts";
import { readState } from "./state.ts";

export interface Deployed {
  /** Undefined before the first successful deployment, and when another version of the program wrote them. */
  readonly outputs: StackOutputs | undefined;

  /** How to log in to the server; known after any successful deployment, whatever its version. */
  readonly ssh: StackOutputs["ssh"] | undefined;
}

export async function readDeployed(stack: string, pulumi: Pulumi): Promise<Deployed> {
  const printed = await pulumi({ args: ["stack", "output", "--json", "--stack", stack] });
  const outputs: unknown = JSON.parse(printed);
  return {
    outputs: stackOutputs.safeParse(outputs).data,
    ssh: z.object({ ssh: stackOutputs.shape.ssh }).safeParse(outputs).data?.ssh,
  };
}

/** Key of the setting `images` → image with the digest that the server runs. */
export async function readDeployedImages(stack: string, pulumi: Pulumi): Promise<Record<string, string>> {
  const { resources } = await readState(stack, pulumi);
  return Object.fromEntries(
    resources.flatMap(({ urn, type, outputs: { reference } = {} }) =>
      type === "technicia:host:Image" && typeof reference === "string"
        ? [[keyOf(nameOf(urn).replace(/^image-/, "")), reference] as const]
        : [],
    ),
  );
}

/** `vector-store` → `vectorStore`: the program names the resource after the setting. */
function keyOf(name: string): string {
  return name.replace(/-(.)/g, (_match, letter: string) => letter.toUpperCase());
}
