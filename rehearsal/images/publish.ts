import { until } from "../../common/until.ts";
import { docker, type Progress } from "../docker.ts";
import type { Images } from "./build.ts";
import { HUB } from "./upstream.ts";

const VOLUME = "technicia-rehearsal-registry";
const PUBLISHER = "technicia-rehearsal-publisher";
const LABEL = "technicia.rehearsal=1";
const MARKER = "/var/lib/registry/published.json";
const READY_MS = 20_000;

/** Puts the images into the registry's storage under their names at Docker Hub; what is already there stays. */
export async function publishImages(images: Images, { progress }: { progress: Progress }): Promise<void> {
  // Created here and not by the first container, for a label: rehearsal:stop recognizes our volumes by it.
  await docker(["volume", "create", "--label", LABEL, VOLUME]);
  const published = await readMarker(images.registry);
  const missing = Object.entries(images.published).filter(([name, tag]) => published[name] !== tag);
  if (missing.length === 0) return;

  await docker(["rm", "--force", PUBLISHER]).catch(() => undefined);
  // On the loopback, where an engine pushes without TLS.
  const ports = ["--publish", "127.0.0.1::5000"];
  await docker(["run", "--detach", "--name", PUBLISHER, ...storage(), ...ports, images.registry]);
  try {
    const address = (await docker(["port", PUBLISHER, "5000/tcp"])).trim().split("\n")[0] ?? "";
    await until(() => answers(`http://${address}/v2/`), {
      limit: READY_MS,
      every: 100,
      late: () => new Error(`registry at ${address}: no answer within ${READY_MS / 1000} s`),
    });
    for (const [name, tag] of missing) {
      progress(`publishing ${name} …`);
      await docker(["tag", tag, `${address}/${name}`]);
      await docker(["push", "--quiet", `${address}/${name}`]);
      await docker(["rmi", `${address}/${name}`]);
      published[name] = tag;
      await docker(
        ["exec", "--interactive", PUBLISHER, "sh", "-c", `cat > ${MARKER}.new && mv ${MARKER}.new ${MARKER}`],
        {
          input: JSON.stringify(published),
        },
      );
    }
  } finally {
    await docker(["rm", "--force", PUBLISHER]);
  }
  // Layers of replaced images take hundreds of megabytes.
  const collect = ["garbage-collect", "--delete-untagged", "/etc/docker/registry/config.yml"];
  await docker(["run", "--rm", ...storage(), images.registry, ...collect]);
}

function storage(): string[] {
  return ["--label", LABEL, "--volume", `${VOLUME}:/var/lib/registry`];
}

/** What was published, name → local tag of then. */
async function readMarker(registry: string): Promise<Record<string, string>> {
  const script = `if test -e ${MARKER}; then cat ${MARKER}; else echo '{}'; fi`;
  const text = await docker(["run", "--rm", ...storage(), "--entrypoint", "sh", registry, "-c", script]);
  return JSON.parse(text) as Record<string, string>;
}

/** How the rehearsal's registry is started, so that it answers as Docker Hub does. */
export function registryRunArgs(options: {
  readonly network: string;
  readonly ip: string;

  /** Folder with `cert.pem` and `key.pem`, issued to Docker Hub's name by an authority that servers trust. */
  readonly certificates: string;
}): { readonly args: string[]; readonly command: string[] } {
  return {
    args: [
      ...["--network", options.network, "--ip", options.ip],
      ...["--volume", `${VOLUME}:/var/lib/registry:ro`],
      ...["--volume", `${options.certificates}:/certificates:ro`],
      ...["--env", "REGISTRY_HTTP_ADDR=:443", "--env", `REGISTRY_HTTP_HOST=https://${HUB}`],
      ...["--env", "REGISTRY_HTTP_TLS_CERTIFICATE=/certificates/cert.pem"],
      ...["--env", "REGISTRY_HTTP_TLS_KEY=/certificates/key.pem"],
    ],
    command: [],
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
