import { connect, type SecureVersion } from "node:tls";

import { failed, type Finding, notChecked, ok } from "../finding.ts";
import type { World } from "../world.ts";

type Result = "accepted" | "refused" | "unknown";

const WANTED: readonly { readonly version: SecureVersion; readonly accepted: boolean }[] = [
  { version: "TLSv1", accepted: false },
  { version: "TLSv1.1", accepted: false },
  { version: "TLSv1.2", accepted: true },
  { version: "TLSv1.3", accepted: true },
];

/** Whether the old versions are refused and the new ones taken. */
export async function checkTlsVersions(world: World, domain: string, signal: AbortSignal): Promise<Finding> {
  const results = await Promise.all(
    WANTED.map(async ({ version, accepted }) => ({
      version,
      accepted,
      result: await tryVersion(world, { domain, version }, signal),
    })),
  );
  const told = results.map(({ version, result }) => `${version} ${FRENCH[result]}`).join(", ");
  const wrong = results.filter(
    ({ accepted, result }) => result !== "unknown" && (result === "accepted") !== accepted,
  );
  if (wrong.length > 0) return failed(`${told} ; attendu : TLS 1.2 et 1.3 seulement`);
  return results.some(({ result }) => result === "unknown") ? notChecked(told) : ok(told);
}

const FRENCH: Readonly<Record<Result, string>> = {
  accepted: "acceptée",
  refused: "refusée",
  unknown: "non essayée (cette machine ne la connaît plus)",
};

function tryVersion(
  world: World,
  { domain, version }: { readonly domain: string; readonly version: SecureVersion },
  signal: AbortSignal,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: domain,
      port: world.ports.https,
      servername: domain,
      minVersion: version,
      maxVersion: version,
      // Only the version is asked for; whom to trust is another check's question.
      rejectUnauthorized: false,
      // OpenSSL itself refuses to speak the old versions unless it is told to be lax.
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    const stop = () => socket.destroy(new Error("interrompu"));
    signal.addEventListener("abort", stop, { once: true });
    let isConnected = false;
    socket.on("connect", () => (isConnected = true));
    socket.on("secureConnect", () => {
      socket.destroy();
      resolve("accepted");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (/NO_PROTOCOLS_AVAILABLE|NO_CIPHERS_AVAILABLE/.test(error.code ?? "")) resolve("unknown");
      // Whatever ends the handshake after the connection is a refusal; before it, nobody was asked.
      else if (isConnected && !signal.aborted) resolve("refused");
      else reject(error);
    });
    socket.on("close", () => {
      signal.removeEventListener("abort", stop);
      resolve("refused");
    });
  });
}
