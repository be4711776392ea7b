/** `npm run images -- pin`: replaces the tags of a stack's images by their current digests. */
import { imagesInUse } from "../checks/images.ts";
import { findImage } from "../vendors/registry.ts";
import type { Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { renderTable } from "../table.ts";
import { UserError } from "../../common/user-error.ts";
import { readImageReference } from "../../stacks/image-reference.ts";
import type { Operator } from "./operator.ts";
import { EXIT } from "./release-progress.ts";
import { settingsFile, withImages } from "./settings-file.ts";

export async function pinImages(
  stack: string,
  operator: Pick<Operator, "pulumi" | "signal" | "readSettingsFile" | "writeSettingsFile">,
): Promise<Outcome> {
  const environment = await readEnvironment(stack, operator.pulumi);
  const images = await Promise.all(
    imagesInUse(environment).map(async ({ service, name }) => ({
      service,
      name,
      ...(await pin(name, operator.signal)),
    })),
  );
  const problems = images.flatMap(({ service, problem }) =>
    problem === undefined ? [] : [`technicia:images.${service}: ${problem}`],
  );
  if (problems.length > 0) throw new UserError(problems.join("\n"));

  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  const pinned = Object.fromEntries(images.map(({ service, reference }) => [service, reference]));
  const edited = withImages({ path, text }, pinned);
  if (edited === text) return { text: `${path} already names every image by its digest`, exitCode: EXIT.ok };
  await operator.writeSettingsFile(stack, edited);
  const table = renderTable({
    headings: ["Image", "Tag", "Digest"],
    rows: images.map(({ service, name, reference }) => [
      service,
      name.replace(/@.*$/, ""),
      reference.slice(reference.indexOf("@") + 1).slice(0, 19),
    ]),
  });
  return { text: `${table}\n\nlook at it with git diff ${path}`, exitCode: EXIT.ok };
}

async function pin(
  name: string,
  signal: AbortSignal,
): Promise<{ readonly reference: string; readonly problem?: string }> {
  if (readImageReference(name)?.digest !== undefined) return { reference: name };
  try {
    return { reference: `${name}@${(await findImage(name, { fetch, signal })).digest}` };
  } catch (error) {
    signal.throwIfAborted();
    const problem = `the registry gave no digest: ${(error as Error).message}; check its name and tag`;
    return { reference: name, problem };
  }
}
