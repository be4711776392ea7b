import { docker, type Progress } from "../docker.ts";

const PROBE_MS = 4000;

/** The name under which every engine asks for an image that names no registry. */
export const HUB = "registry-1.docker.io";

/** Whether Docker Hub answers within seconds. */
export async function canPull(): Promise<boolean> {
  try {
    const answer = await fetch(`https://${HUB}/v2/`, { signal: AbortSignal.timeout(PROBE_MS) });
    // A proxy's page that answers under this name is no registry.
    return answer.headers.has("docker-distribution-api-version");
  } catch {
    return false;
  }
}

/** Whether this machine's engine has an image. */
export async function isPulled(name: string): Promise<boolean> {
  return (await docker(["images", "--quiet", name])).trim() !== "";
}

/** Pulls an image unless it exists. Returns false, and says why, where the registry refuses it. */
export async function pull(name: string, progress: Progress): Promise<boolean> {
  if (await isPulled(name)) return true;
  progress(`pulling ${name} …`);
  try {
    await docker(["pull", "--quiet", name]);
    return true;
  } catch (error) {
    progress(`${name} cannot be pulled: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}
