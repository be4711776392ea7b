/** Digest and size of an image, over the protocol that every registry speaks. */
import { call, type Answer, type CallOptions } from "./http.ts";
import { readImageReference } from "./image-reference.ts";

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

/** An account at a registry. */
export interface RegistryLogin {
  /** As image names begin: `registry.exemple.fr`; `docker.io` is Docker Hub. */
  readonly host: string;
  readonly username: string;
  readonly password: string;
}

type Request = Pick<CallOptions, "fetch" | "signal"> & {
  /** Sent to its own registry only. @default nobody's */
  readonly login?: RegistryLogin | undefined;
};

/** The registry does not have the image, or does not show it to this account. */
export class ImageMissing extends Error {
  override readonly name = "ImageMissing";
}

/** @throws Error, in the check's language, without such an image or without a variant for the server's processor */
export async function findImage(name: string, request: Request): Promise<RegistryImage> {
  const reference = readImageReference(name);
  if (!reference) throw new Error(`${name} n'est pas un nom d'image`);
  const { host, repository } = locate(reference.repository);
  const wanted = reference.digest ?? reference.tag ?? "latest";
  const read = manifestReader({ host, repository }, request);

  const found = await read(wanted);
  if (found.status === 404 || found.status === 401 || found.status === 403) {
    throw new ImageMissing(`${name} : absente du registre, ou privée (${found.status})`);
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

/** The registry of an image, as logins name it: `docker.io` for Docker Hub. */
export function registryOf(name: string): string {
  const { host } = locate(readImageReference(name)?.repository ?? name);
  return host === HUB ? "docker.io" : host;
}

/** Content of Docker's `config.json` for one account. */
export function dockerConfig({ host, username, password }: RegistryLogin): string {
  const address = host === "docker.io" ? "https://index.docker.io/v1/" : host;
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  return `${JSON.stringify({ auths: { [address]: { auth } } })}\n`;
}

/** Docker's own rule: a first part with a dot or a port is a host; every other name belongs to Docker Hub. */
function locate(repository: string): { readonly host: string; readonly repository: string } {
  const [first = "", ...rest] = repository.split("/");
  if (rest.length === 0) return { host: HUB, repository: `library/${first}` };
  if (!/[.:]/.test(first) && first !== "localhost") return { host: HUB, repository };
  if (first === "docker.io" || first === "index.docker.io") return locate(rest.join("/"));
  return { host: first, repository: rest.join("/") };
}

/** Docker's own rule, too: without TLS only on this machine. */
function isLoopback(host: string): boolean {
  return /^(localhost|127\.)/.test(host);
}

/** Reads without an account where that is enough; a registry that wants a token names the place to get one. */
function manifestReader(
  image: { readonly host: string; readonly repository: string },
  { login, ...request }: Request,
): (wanted: string) => Promise<Answer> {
  const { host, repository } = image;
  const base = `${isLoopback(host) ? "http" : "https"}://${host}/v2/${repository}`;
  const account =
    login !== undefined && login.host === (host === HUB ? "docker.io" : host) ? login : undefined;
  let authorization: string | undefined;
  const ask = (wanted: string) =>
    call(`${base}/manifests/${wanted}`, {
      headers: { accept: MANIFESTS, ...(authorization === undefined ? {} : { authorization }) },
      // Some registries only lead to others; fetch sends the login to its own origin alone.
      redirect: "follow",
      ...request,
    });
  return async (wanted) => {
    const answer = await ask(wanted);
    const challenge = answer.headers.get("www-authenticate");
    if (answer.status !== 401 || authorization !== undefined || !challenge) return answer;
    authorization = await authorize(challenge, { account, request, allowsHttp: isLoopback(host) });
    return authorization === undefined ? answer : ask(wanted);
  };
}

async function authorize(
  challenge: string,
  about: {
    readonly account: RegistryLogin | undefined;
    readonly request: Pick<CallOptions, "fetch" | "signal">;
    readonly allowsHttp: boolean;
  },
): Promise<string | undefined> {
  const { account, request, allowsHttp } = about;
  const basic =
    account && `Basic ${Buffer.from(`${account.username}:${account.password}`).toString("base64")}`;
  if (/^basic\b/i.test(challenge)) return basic;
  const parts = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value] as const),
  ) as Readonly<Record<string, string | undefined>>;
  const { realm, service, scope } = parts;
  const url = URL.parse(realm ?? "");
  if (url?.protocol !== "https:" && !(allowsHttp && url?.protocol === "http:")) return undefined;
  if (service) url.searchParams.set("service", service);
  if (scope) url.searchParams.set("scope", scope);
  const headers = basic === undefined ? {} : { authorization: basic };
  const { body } = await call(url.href, { ...request, headers });
  const { token, access_token: other } = (body ?? {}) as { token?: string; access_token?: string };
  return token === undefined && other === undefined ? undefined : `Bearer ${token ?? other ?? ""}`;
}

function sizeOf(layers: Manifest["layers"]): number {
  return (layers ?? []).reduce((sum, { size }) => sum + size, 0);
}
