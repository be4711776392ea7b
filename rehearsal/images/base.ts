import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { APT_RETRIES, aptCommand } from "../apt.ts";
import { UserError } from "../../common/user-error.ts";
import { docker, type Progress } from "../docker.ts";
import { run } from "../../common/run.ts";

const POCKETS = /^[a-z]+(|-updates|-security)$/;
const DISTRIBUTION_CERTIFICATES = "/usr/share/ca-certificates";
const BUNDLES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/** Debian's releases below the images: those of servers, and the newest for everything that runs in containers. */
export const RELEASES = { debian11: "bullseye", debian12: "bookworm", debian13: "trixie" } as const;
export type Release = keyof typeof RELEASES;

export function isRelease(name: string): name is Release {
  return Object.hasOwn(RELEASES, name);
}

/** One line of APT's sources on this machine that Debian itself publishes. */
export interface Source {
  readonly uri: string;
  /** Release and pocket: `bookworm-security`. */
  readonly suite: string;
}

/** Debian's sources among this machine's, as APT knows them after its last update. */
export async function readSources(): Promise<Source[]> {
  const format = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
  const listed = await run(["apt-get", "indextargets", "--format", format, "Created-By: Packages"]).catch(
    () => "",
  );
  const sources = listed.split("\n").flatMap((line) => {
    const [origin, uri = "", suite = "", component] = line.split("|");
    return origin === "Debian" && component === "main" ? [{ uri, suite }] : [];
  });
  return [...new Map(sources.map((source) => [`${source.uri} ${source.suite}`, source])).values()];
}

/** The same places, as lines of a sources.list for another release. Pockets that only this machine uses are left out. */
export function renderSources(sources: readonly Source[], release: Release): string {
  const lines = sources
    .filter(({ suite }) => POCKETS.test(suite))
    .map(({ uri, suite }) => `deb ${uri} ${suite.replace(/^[a-z]+/, RELEASES[release])} main\n`);
  return [...new Set(lines)].join("");
}

/** Certificates that this machine trusts besides its distribution's own; each in PEM. */
export async function readMachineCertificates(): Promise<string[]> {
  const given = [process.env["SSL_CERT_FILE"], process.env["NODE_EXTRA_CA_CERTS"]];
  const files = [...new Set([...given, ...BUNDLES])].filter((file) => file !== undefined && existsSync(file));
  const trusted = await Promise.all(files.map((file) => readFile(file as string, "utf8")));
  const known = new Set(certificatesIn(await readDistribution()));
  return [...new Set(trusted.flatMap(certificatesIn))].filter((certificate) => !known.has(certificate));
}

async function readDistribution(): Promise<string> {
  const entries = await readdir(DISTRIBUTION_CERTIFICATES, { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n");
}

function certificatesIn(text: string): string[] {
  return (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (certificate) => `${certificate.replaceAll("\r", "")}\n`,
  );
}

/** Arguments of mmdebstrap that are the same for every root. */
const ROOT_ARGUMENTS = [
  "--variant=minbase",
  '--aptopt=APT::Install-Recommends "false"',
  // Stays in the image, for the packages that are added to it.
  `--aptopt=Acquire::Retries "${APT_RETRIES}"`,
  // Of no use in a container; licences stay.
  ...["man", "doc", "locale"].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
  "--dpkgopt=path-include=/usr/share/doc/*/copyright",
];

/** /usr is merged, as installers do it. The package that would do it on old systems brings all of Perl along. */
function argumentsOf(release: Release): string[] {
  const hooks = "/usr/share/mmdebstrap/hooks/merged-usr";
  return release === "debian11"
    ? [`--setup-hook=${hooks}/setup00.sh`, "--include=ca-certificates"]
    : [`--hook-dir=${hooks}`, "--include=usr-is-merged,ca-certificates"];
}

/** Contents of a base image; equal contents give equal images. */
export interface BaseContent {
  /** Image to start from. @default a root made by mmdebstrap from `sources` */
  readonly pulled?: string;
  readonly sources: string;
  readonly certificates: readonly string[];
}

/** Everything that decides the contents of a base image, except the files of its folder. */
export function describeBase(release: Release, content: BaseContent): string {
  return JSON.stringify([release, content, ROOT_ARGUMENTS, argumentsOf(release)]);
}

/** Builds the base image of a release under `tag`. */
export async function buildBase(
  release: Release,
  content: BaseContent,
  { tag, progress }: { readonly tag: string; readonly progress: Progress },
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-base-"));
  try {
    const root =
      content.pulled ??
      (await importRoot(release, content.sources, { folder, tag: `${tag}-root`, progress }));
    const context = join(folder, "context");
    await mkdir(join(context, "machine"), { recursive: true });
    // Docker copies no folder that is empty, as it is on most machines.
    await writeFile(join(context, "machine", ".keep"), "");
    for (const [at, certificate] of content.certificates.entries()) {
      await writeFile(join(context, "machine", `${at}.crt`), certificate);
    }
    const file = join(import.meta.dirname, "base", "Dockerfile");
    await docker(
      [
        ...["build", "--quiet", "--force-rm", "--tag", tag, "--file", file],
        ...["--build-arg", `ROOT=${root}`, context],
      ],
      { environment: { DOCKER_BUILDKIT: "0" } },
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Debian's smallest root, without manuals, documents and translations. */
async function importRoot(
  release: Release,
  sources: string,
  { folder, tag, progress }: { readonly folder: string; readonly tag: string; readonly progress: Progress },
): Promise<string> {
  if (sources === "") {
    throw new UserError(
      `base image: this machine has no package sources of Debian; run apt-get update, or rehearse where Docker Hub can be reached`,
    );
  }
  await requireMmdebstrap(progress);
  const root = join(folder, "root.tar");
  const list = join(folder, "sources.list");
  await writeFile(list, sources);
  await run([
    "mmdebstrap",
    ...ROOT_ARGUMENTS,
    ...argumentsOf(release),
    "--quiet",
    RELEASES[release],
    root,
    list,
  ]);
  // No label: containers inherit an image's, and those of a running build are not the rehearsal's to remove.
  await docker(["import", "--change", 'CMD ["bash"]', root, tag]);
  return tag;
}

async function requireMmdebstrap(progress: Progress): Promise<void> {
  const isThere = await run(["mmdebstrap", "--version"]).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  if (process.getuid?.() !== 0) {
    throw new UserError("mmdebstrap is not installed; type: sudo apt-get install mmdebstrap");
  }
  progress("installing mmdebstrap with apt");
  await run(aptCommand(["mmdebstrap", "debian-archive-keyring"]));
}
