/** `technicia:host:Image`: an image on the host, and the digest of its name when it was pulled. */
import { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";

const TIMEOUT_SECONDS = 900;

// A preview must work without the host. If the host does not answer in time, the digest stays unknown.
const PREVIEW_SECONDS = 5;

const schema = z.strictObject({
  name: z
    .string()
    .regex(
      /^(?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/,
      "an image's name with tag or digest, such as nginx:1.30.4-alpine",
    ),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  readonly reference: string;
}

// A digest names the same image everywhere. A rollback to an image that is still on the host needs no registry.
const PULL = `
if [[ $NAME == *@* ]] && docker image inspect "$NAME" >/dev/null 2>&1; then echo "Digest: \${NAME#*@}"; exit 0; fi
docker image pull "$NAME" 2>&1`;

// The same request that Docker makes for a new service: it uses the daemon's mirrors and credentials and pulls nothing.
const RESOLVE = `
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

  async preview(call, { name }, existing) {
    if (name === undefined) return {};
    if (existing?.inputs.name === name) return existing.outputs;
    return withDigest(name, isPinned(name) ? undefined : await resolve(call, name));
  },

  async create(call, { name }) {
    return { id: name, outputs: await pull(call, name) };
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
      inputs: { name },
      outputs: outputs.reference === undefined ? await pull(call, name) : { reference },
    };
  },

  async update(call, _existing, { name }) {
    return pull(call, name);
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

async function pull(call: Call, name: string): Promise<Outputs> {
  try {
    const { stdout } = await call.host.run({
      purpose: `pull the image ${name}`,
      script: PULL,
      variables: { NAME: name },
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
    throw error instanceof CommandFailure ? explain(name, call.host.name, error) : error;
  }
}

/** Digest that the registry has under the name; undefined when it cannot be read. */
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
  if (status === "404") throw missing(name, body);
  return /"digest":\s*"(sha256:[0-9a-f]{64})"/.exec(body)?.[1];
}

function withDigest(name: string, digest: string | undefined): Partial<Outputs> {
  if (isPinned(name)) return { reference: name };
  return digest === undefined ? {} : { reference: `${name}@${digest}` };
}

function isPinned(name: string): boolean {
  return name.includes("@");
}

function missing(name: string, said: string): UserError {
  return new UserError(
    `image: expected ${name} in its registry, got ${JSON.stringify(said.trim().slice(0, 200))}; check its name and tag, or push it first`,
  );
}

function explain(name: string, host: string, failure: CommandFailure): UserError {
  const said = failure.stdout.trim().split("\n").at(-1) ?? "";
  if (/manifest unknown|not found|repository does not exist/i.test(said)) return missing(name, said);
  if (/unauthorized|access denied|authentication required/i.test(said)) {
    return new UserError(
      `image: ${host} may not pull ${name} (${JSON.stringify(said)}); log Docker in there, or check the name`,
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
