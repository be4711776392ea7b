/** What a registry knows of an image, by the protocol that every registry speaks. */
import { readImageReference } from "../../stacks/image-reference.ts";
import { call, type Answer, type Fetching } from "./http.ts";

export interface RegistryImage {
  readonly digest: string;
  /** What a server has to load, compressed. */
  readonly downloadBytes: number;
}

const HUB = "registry-1.docker.io";
const PLATFORM = { os: "linux", architecture: "amd64" };
const MANIFESTS = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

interface Manifest {
  readonly manifests?: readonly {
    readonly digest: string;
    readonly platform?: { readonly os?: string; readonly architecture?: string };
  }[];
  readonly layers?: readonly { readonly size: number }[];
}

/** Throws in the words of the check when there is no such image, or none for the server's processor. */
export async function findImage(world: Fetching, name: string, signal: AbortSignal): Promise<RegistryImage> {
  const reference = readImageReference(name);
  if (!reference) throw new Error(`${name} n'est pas un nom d'image`);
  const { base, repository } = whereIs(reference.repository);
  const wanted = reference.digest ?? reference.tag ?? "latest";
  const read = manifestReader(world, `${base}/v2/${repository}`, signal);

  const found = await read(wanted);
  if (found.status === 404 || found.status === 401 || found.status === 403) {
    throw new Error(`${name} : absente du registre, ou privée (${found.status})`);
  }
  if (found.status !== 200) throw new Error(`${name} : le registre répond ${found.status}`);
  const digest = found.headers.get("docker-content-digest") ?? reference.digest;
  if (!digest) throw new Error(`${name} : le registre ne donne pas d'empreinte`);

  const { manifests, layers } = found.body as Manifest;
  if (!manifests) return { digest, downloadBytes: sizeOf(layers) };
  const own = manifests.find(
    ({ platform }) => platform?.os === PLATFORM.os && platform.architecture === PLATFORM.architecture,
  );
  if (!own) throw new Error(`${name} : pas de variante ${PLATFORM.os}/${PLATFORM.architecture}`);
  return { digest, downloadBytes: sizeOf(((await read(own.digest)).body as Manifest | undefined)?.layers) };
}

/** As Docker finds it: a first part with a dot or a port is a host, everything else is at Docker Hub. */
function whereIs(repository: string): { readonly base: string; readonly repository: string } {
  const [first = "", ...rest] = repository.split("/");
  if (rest.length === 0) return { base: `https://${HUB}`, repository: `library/${first}` };
  if (!/[.:]/.test(first) && first !== "localhost") return { base: `https://${HUB}`, repository };
  if (first === "docker.io") return whereIs(rest.join("/"));
  const isLoopback = /^(localhost|127\.)/.test(first);
  return { base: `${isLoopback ? "http" : "https"}://${first}`, repository: rest.join("/") };
}

/** Asks as anybody; a registry that wants a token for that says where to get it. */
function manifestReader(
  world: Fetching,
  base: string,
  signal: AbortSignal,
): (wanted: string) => Promise<Answer> {
  let authorization: string | undefined;
  const ask = (wanted: string) =>
    call(world, `${base}/manifests/${wanted}`, {
      headers: { accept: MANIFESTS, ...(authorization === undefined ? {} : { authorization }) },
      signal,
    });
  return async (wanted) => {
    const answer = await ask(wanted);
    const challenge = answer.headers.get("www-authenticate");
    if (answer.status !== 401 || authorization !== undefined || !challenge) return answer;
    const token = await requestToken(world, challenge, signal);
    if (token === undefined) return answer;
    authorization = `Bearer ${token}`;
    return ask(wanted);
  };
}

async function requestToken(
  world: Fetching,
  challenge: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const parts = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value] as const),
  ) as Readonly<Record<string, string | undefined>>;
  const { realm, service, scope } = parts;
  if (!realm || !/^https?:\/\//.test(realm)) return undefined;
  const url = new URL(realm);
  if (service) url.searchParams.set("service", service);
  if (scope) url.searchParams.set("scope", scope);
  const { body } = await call(world, url.href, { signal });
  const { token, access_token: other } = (body ?? {}) as { token?: string; access_token?: string };
  return token ?? other;
}

function sizeOf(layers: Manifest["layers"]): number {
  return (layers ?? []).reduce((sum, { size }) => sum + size, 0);
}
