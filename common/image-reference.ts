/** Repositories whose complete versions have two numbers, such as PostgreSQL 17.9. */
const TWO_NUMBER_VERSIONS = new Set(["postgres"]);

const REFERENCE =
  /^(?<repository>(?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?<tag>[A-Za-z0-9_][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;

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
