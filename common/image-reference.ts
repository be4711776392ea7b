/** Repositories whose complete versions have two numbers, such as PostgreSQL 17.9. */
const TWO_NUMBER_VERSIONS = new Set(["postgres"]);

// As Docker's own grammar has it. Capitals, which it takes in the host, are refused here, so that one registry has one name.
const LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const HOST = String.raw`(?:${LABEL}(?:\.${LABEL})*(?::\d{1,5})?/)?`;
const FOLDER = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*";
const REFERENCE = new RegExp(
  String.raw`^(?<repository>${HOST}${FOLDER}(?:/${FOLDER})*)(?::(?<tag>[A-Za-z0-9_][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$`,
);

export interface ImageReference {
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Reads `repository[:tag][@digest]`; undefined when it is no image reference. */
export function readImageReference(text: string): ImageReference | undefined {
  const groups = REFERENCE.exec(text)?.groups;
  if (!groups?.["repository"]) return undefined;
  const { repository, tag, digest } = groups;
  return { repository, ...(tag ? { tag } : {}), ...(digest ? { digest } : {}) };
}

/** Whether the reference names one release: a digest, or a tag with a complete version. */
export function isExact(text: string): boolean {
  const image = readImageReference(text);
  if (!image) return false;
  if (image.digest) return true;
  const numbers = /^v?(\d+(?:\.\d+)*)(?:[-+_]|$)/.exec(image.tag ?? "")?.[1]?.split(".").length ?? 0;
  const name = image.repository.split("/").at(-1)!;
  return numbers >= (TWO_NUMBER_VERSIONS.has(name) ? 2 : 3);
}

/** The version that the tag carries, without what follows it (`2.41.3` of `n8nio/n8n:2.41.3-distroless`). */
export function versionOf(text: string): string {
  const image = readImageReference(text);
  return /^v?\d+(?:\.\d+)*/.exec(image?.tag ?? "")?.[0] ?? image?.tag ?? image?.digest ?? "";
}

/** The reference in what people copy: an address, capitals in the name. Undefined where there is none. */
export function imageNameIn(text: string): string | undefined {
  const [, name = "", tag = "", digest = ""] =
    /^([^@]*?)(:[^/:@]*)?(@[^@]*)?$/.exec(withoutScheme(text.trim())) ?? [];
  const meant = `${name.toLowerCase()}${tag}${digest.toLowerCase()}`;
  return readImageReference(meant) && meant;
}

const DOCKER_HUB = /^(index\.docker\.io|registry-1\.docker\.io|(registry\.)?hub\.docker\.com)(?=\/|$)/;

/** The beginning of images' names, a registry and perhaps a folder, in what people write for it; undefined where there is none. */
export function registryIn(text: string): string | undefined {
  const address = withoutScheme(text.trim())
    .replace(/\/+$/, "")
    .toLowerCase()
    .replace(DOCKER_HUB, "docker.io");
  const [host = "", ...folders] = address.split("/");
  // A first part without dot or port is a folder at Docker Hub, where nobody may push without one.
  const meant = /[.:]/.test(host) || host === "localhost" ? address : `docker.io/${address}`;
  if (address === "" || (host === "docker.io" && folders.length === 0)) return undefined;
  return readImageReference(`${meant}/image:1`) && meant;
}

function withoutScheme(address: string): string {
  return address.replace(/^[a-z]+:\/\//i, "");
}
