/** `npm run images -- pin`: writes the digests of images into a settings file, as a change to review. */
import { findImage, type RegistryLogin } from "../../common/registry.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import { readImageReference } from "../../common/image-reference.ts";
import { imagesInUse, loginOf } from "../../stacks/images.ts";
import type { Outcome } from "../command.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readEnvironment, readSettings } from "../engine/settings.ts";
import type { Pulumi } from "../engine/cli.ts";
import { renderTable } from "../terminal.ts";
import { EXIT } from "./release-progress.ts";
import type { Operator } from "./session.ts";
import { settingsFile, withImages, type SettingsFile } from "../engine/settings-file.ts";

/** Replaces the tags of a stack's images by their current digests. */
export async function pinImages(
  stack: string,
  operator: Pick<Operator, "pulumi" | "signal" | "readSettingsFile" | "writeSettingsFile">,
): Promise<Outcome> {
  const environment = await readEnvironment(stack, operator.pulumi);
  const login = await registryLogin(stack, environment, operator.pulumi);
  const images = await Promise.all(
    imagesInUse(environment).map(async ({ service, name }) => ({
      service,
      name,
      ...(await pin(name, { fetch: systemFetch, signal: operator.signal, login })),
    })),
  );
  const problems = images.flatMap(({ service, problem }) =>
    problem === undefined ? [] : [`technicia:images.${service}: ${problem}`],
  );
  if (problems.length > 0) throw new UserError(problems.join("\n"));

  const pinned = Object.fromEntries(images.map(({ service, reference }) => [service, reference]));
  const { path, isNew } = await writeImages(stack, pinned, operator);
  if (!isNew) return { text: `${path} already names every image by its digest`, exitCode: EXIT.ok };
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

/** The account at the environment's registry; its password is read only where there is one. */
export async function registryLogin(
  stack: string,
  environment: Environment,
  pulumi: Pulumi,
): Promise<RegistryLogin | undefined> {
  const hasAccount = environment.builds.registryUser !== "";
  const secrets = hasAccount ? (await readSettings(stack, pulumi)).secrets : {};
  return loginOf(environment, secrets["registryPassword"]);
}

async function pin(
  name: string,
  request: Parameters<typeof findImage>[1],
): Promise<{ readonly reference: string; readonly problem?: string }> {
  if (readImageReference(name)?.digest !== undefined) return { reference: name };
  try {
    return { reference: `${name}@${(await findImage(name, request)).digest}` };
  } catch (error) {
    request.signal.throwIfAborted();
    const problem = `the registry gave no digest: ${(error as Error).message}; check its name and tag`;
    return { reference: name, problem };
  }
}

/** Writes images into the settings file of a stack. */
export async function writeImages(
  stack: string,
  images: Readonly<Record<string, string>>,
  operator: Pick<Operator, "readSettingsFile" | "writeSettingsFile">,
): Promise<Written> {
  return await editSettings(stack, (file) => withImages(file, images), operator);
}

export interface Written {
  readonly path: string;

  /** False when the file had it already. */
  readonly isNew: boolean;
}

/** Changes the settings file of a stack, once and as a whole. */
export async function editSettings(
  stack: string,
  edit: (file: SettingsFile) => string,
  operator: Pick<Operator, "readSettingsFile" | "writeSettingsFile">,
): Promise<Written> {
  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  const edited = edit({ path, text });
  if (edited !== text) await operator.writeSettingsFile(stack, edited);
  return { path, isNew: edited !== text };
}
