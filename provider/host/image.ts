/** `technicia:host:Image`: an image on the host, and the digest of its name when it was pulled. */
import { z } from "zod";
import { readImageReference } from "../../common/image-reference.ts";
import { findImage, ImageMissing, type RegistryLogin } from "../../common/registry.ts";
import { parseUrn } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";

const TIMEOUT_SECONDS = 900;

// A preview must work without the host. If the host does not answer in time, the digest stays unknown.
const PREVIEW_SECONDS = 5;

const schema = z.strictObject({
  name: z
    .string()
    .refine(
      (name) => readImageReference(name) !== undefined,
      "an image's name with tag or digest, such as nginx:1.30.4-alpine",
    ),
  login: z
    .strictObject({ host: z.string().min(1), username: z.string().min(1), password: z.string().min(1) })
    .optional(),
  dockerConfig: z.string().startsWith("/", "an absolute path; write it from the root").optional(),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  readonly reference: string;
}

// Docker's client reads the account from there; left out, from root's own configuration.
const WITH_LOGIN = `
if [ -n "$CONFIG" ]; then export DOCKER_CONFIG=$CONFIG; fi`;

// A digest names the same image everywhere. A rollback to an image that is still on the host needs no registry.
const PULL = `${WITH_LOGIN}
if [[ $NAME == *@* ]] && docker image inspect "$NAME" >/dev/null 2>&1; then echo "Digest: \${NAME#*@}"; exit 0; fi
docker image pull "$NAME" 2>&1`;

// The same request that Docker makes for a new service: it uses the daemon's mirrors and credentials and pulls nothing.
const RESOLVE = `
if [[ $NAME == *@* ]] && docker image inspect "$NAME" >/dev/null 2>&1; then printf '{"digest":"%s"}\\n200' "\${NAME#*@}"; exit 0; fi
command -v docker >/dev/null && command -v curl >/dev/null || exit 0
curl --silent --max-time 20 --unix-socket /var/run/docker.sock --write-out '\\n%{http_code}' "http://localhost/distribution/$NAME/json"`;

const PRESENT = `docker image inspect --format present "$REFERENCE" 2>/dev/null || docker version --format gone`;

const REMOVE = `
command -v docker >/dev/null || exit 0
# One that a container still needs stays.
docker image rm "$REFERENCE" >/dev/null 2>&1 || true`;

export const image: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:host:Image",
  schema,
  outputs: ["reference"],
  replaceOn: [],

  async preview(call, { name, login }, existing) {
    if (name === undefined) return {};
    if (existing?.inputs.name === name) return existing.outputs;
    const found = await lookUp(call, { name, login });
    return withDigest(name, found);
  },

  async create(call, inputs) {
    return { id: inputs.name, outputs: await pull(call, inputs) };
  },

  async read(call, { id, inputs, outputs }) {
    const name = inputs.name ?? id;
    const reference = outputs.reference ?? name;
    const { stdout } = await call.host.run({
      purpose: `look for the image ${name}`,
      script: PRESENT,
      variables: { REFERENCE: reference },
      signal: call.signal,
      onWaiting: call.log.status,
    });
    if (stdout.trim() !== "present") return null;
    return {
      id,
      inputs: { ...inputs, name },
      outputs: outputs.reference === undefined ? await pull(call, { ...inputs, name }) : { reference },
    };
  },

  async update(call, _existing, inputs) {
    return pull(call, inputs);
  },

  async delete(call, { outputs }) {
    await call.host.run({
      purpose: `remove the image ${outputs.reference}`,
      script: REMOVE,
      variables: { REFERENCE: outputs.reference },
      signal: call.signal,
    });
  },
};

async function pull(call: Call, { name, dockerConfig = "" }: Inputs): Promise<Outputs> {
  try {
    const { stdout } = await call.host.run({
      purpose: `pull the image ${name}`,
      script: PULL,
      variables: { NAME: name, CONFIG: dockerConfig },
      timeoutSeconds: call.timeoutSeconds ?? TIMEOUT_SECONDS,
      signal: call.signal,
      onLine: call.log.status,
      onWaiting: call.log.status,
    });
    const digest = /^Digest: (sha256:[0-9a-f]{64})$/m.exec(stdout)?.[1];
    const { reference } = withDigest(name, digest);
    if (reference === undefined) throw new Error(`docker image pull ${name} printed no digest: ${stdout}`);
    return { reference };
  } catch (error) {
    throw error instanceof CommandFailure ? explain(name, call, error) : error;
  }
}

/**
 * Digest that the registry has under the name, asked from here, before there is a host to ask; undefined when it cannot be read.
 *
 * @throws UserError without such an image, so that nothing is bought or changed first
 */
async function lookUp(
  call: Call,
  { name, login }: { readonly name: string; readonly login: RegistryLogin | undefined },
): Promise<string | undefined> {
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(PREVIEW_SECONDS * 1000)]);
  try {
    return (await findImage(name, { fetch, signal, login })).digest;
  } catch (error) {
    call.signal.throwIfAborted();
    // The host may know mirrors, or still have the image.
    const found = await resolve(call, name);
    if (found !== undefined) return found;
    if (error instanceof ImageMissing) throw missing(name, error.message, call);
    call.log.debug(`the digest of ${name} stays unknown: ${(error as Error).message}`);
    return undefined;
  }
}

/** The same, asked on the host; undefined when it cannot be read. */
async function resolve(call: Call, name: string): Promise<string | undefined> {
  if (call.settings.hostAddress === undefined) return undefined;
  let answer: string;
  try {
    const { stdout } = await call.host.run({
      purpose: `look up the image ${name}`,
      script: RESOLVE,
      variables: { NAME: name },
      timeoutSeconds: PREVIEW_SECONDS,
      signal: call.signal,
    });
    answer = stdout;
  } catch (error) {
    call.signal.throwIfAborted();
    call.log.debug(`the digest of ${name} stays unknown: ${(error as Error).message}`);
    return undefined;
  }
  const [body = "", status = ""] = answer.trim().split(/\n(?=\d{3}$)/);
  if (status === "404") throw missing(name, body, call);
  return /"digest":\s*"(sha256:[0-9a-f]{64})"/.exec(body)?.[1];
}

function withDigest(name: string, digest: string | undefined): Partial<Outputs> {
  if (isPinned(name)) return { reference: name };
  return digest === undefined ? {} : { reference: `${name}@${digest}` };
}

function isPinned(name: string): boolean {
  return name.includes("@");
}

/** Of TechnicIA's own services, the command builds the image; a person finds out which of the two it is. */
function missing(name: string, said: string, { urn }: Pick<Call, "urn">): UserError {
  const { stack } = parseUrn(urn);
  return new UserError(
    `image: expected ${name} in its registry, got ${JSON.stringify(said.trim().slice(0, 200))}; ` +
      `build it with npm run images -- build ${stack} if it is one of TechnicIA's own services, else check its name and tag`,
  );
}

function explain(name: string, call: Call, failure: CommandFailure): UserError {
  const host = call.host.name;
  const said = failure.stdout.trim().split("\n").at(-1) ?? "";
  if (/manifest unknown|not found|repository does not exist/i.test(said)) return missing(name, said, call);
  if (/unauthorized|access denied|authentication required/i.test(said)) {
    return new UserError(
      `image: ${host} may not pull ${name} (${JSON.stringify(said)}); check the name, images.registryUser and the secret registryPassword`,
      { cause: failure },
    );
  }
  if (/no space left on device/i.test(failure.stdout)) {
    return new UserError(
      `image: no room for ${name} on ${host}; free space there (docker image prune --all removes unused images)`,
      { cause: failure },
    );
  }
  if (failure.exitCode === undefined || said === "") return failure;
  return new UserError(`could not pull the image ${name} on ${host}: ${said}; fix this and retry`, {
    cause: failure,
  });
}
