/** Digest and size of an image, over the protocol that every registry speaks. */
import { readImageReference } from "../../stacks/image-reference.ts";
import { call, type Answer, type CallOptions } from "./calls.ts";

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

type Request = Pick<CallOptions, "fetch" | "signal">;

/** @throws Error, in the check's language, without such an image or without a variant for the server's processor */
export async function findImage(name: string, request: Request): Promise<RegistryImage> {
  const reference = readImageReference(name);
  if (!reference) throw new Error(`${name} n'est pas un nom d'image`);
  const { base, repository } = locate(reference.repository);
  const wanted = reference.digest ?? reference.tag ?? "latest";
  const read = manifestReader(`${base}/v2/${repository}`, request);

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

/** Docker's own rule: a first part with a dot or a port is a host; every other name belongs to Docker Hub. */
function locate(repository: string): { readonly base: string; readonly repository: string } {
  const [first = "", ...rest] = repository.split("/");
  if (rest.length === 0) return { base: `https://${HUB}`, repository: `library/${first}` };
  if (!/[.:]/.test(first) && first !== "localhost") return { base: `https://${HUB}`, repository };
  if (first === "docker.io") return locate(rest.join("/"));
  const isLoopback = /^(localhost|127\.)/.test(first);
  return { base: `${isLoopback ? "http" : "https"}://${first}`, repository: rest.join("/") };
}

/** Reads without an account; a registry that wants a token even so names the place to get one. */
function manifestReader(base: string, request: Request): (wanted: string) => Promise<Answer> {
  let authorization: string | undefined;
  const ask = (wanted: string) =>
    call(`${base}/manifests/${wanted}`, {
      headers: { accept: MANIFESTS, ...(authorization === undefined ? {} : { authorization }) },
      ...request,
    });
  return async (wanted) => {
    const answer = await ask(wanted);
    const challenge = answer.headers.get("www-authenticate");
    if (answer.status !== 401 || authorization !== undefined || !challenge) return answer;
    const token = await requestToken(challenge, request);
    if (token === undefined) return answer;
    authorization = `Bearer ${token}`;
    return ask(wanted);
  };
}

async function requestToken(challenge: string, request: Request): Promise<string | undefined> {
  const parts = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value] as const),
  ) as Readonly<Record<string, string | undefined>>;
  const { realm, service, scope } = parts;
  if (!realm || !/^https?:\/\//.test(realm)) return undefined;
  const url = new URL(realm);
  if (service) url.searchParams.set("service", service);
  if (scope) url.searchParams.set("scope", scope);
  const { body } = await call(url.href, request);
  const { token, access_token: other } = (body ?? {}) as { token?: string; access_token?: string };
  return token ?? other;
}

function sizeOf(layers: Manifest["layers"]): number {
  return (layers ?? []).reduce((sum, { size }) => sum + size, 0);
}
