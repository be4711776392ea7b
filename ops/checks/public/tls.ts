/** The public address's certificate and TLS versions. */
import { once } from "node:events";
import { checkServerIdentity, connect, type PeerCertificate, type SecureVersion } from "node:tls";

import { reasonOf } from "../../../common/reason.ts";
import { failed, type Finding, notChecked, ok } from "../probe.ts";
import { placeOf, type PublicSite, trustOf } from "./gateway.ts";

const DAY_MS = 86_400_000;

/** Whether this machine trusts the certificate, and whether it is valid for the domain and for long enough. */
export async function checkCertificate(
  site: PublicSite,
  {
    days,
    now,
    signal,
  }: {
    /** The certificate must be valid for at least as many. */
    readonly days: number;
    readonly now: () => number;
    readonly signal: AbortSignal;
  },
): Promise<Finding> {
  const { domain } = site;
  const served = await readCertificate(site, signal);
  if (served === undefined) return failed(`${domain} ne présente pas de certificat`);
  const { certificate, distrust } = served;
  const left = Math.floor((Date.parse(certificate.valid_to) - now()) / DAY_MS);
  const wrongName = checkServerIdentity(domain, certificate);
  const issuer = [certificate.issuer.O, certificate.issuer.CN].flat().filter(Boolean).join(", ") || "inconnu";
  const measures = { certificateDays: left };
  const problems = [
    ...(distrust === undefined
      ? []
      : [
          `chaîne refusée par cette machine (${distrust}) ; ` +
            "une autorité d'essai se déclare par acme.trusted: false",
        ]),
    ...(wrongName ? [`noms : attendu ${domain}, trouvé ${certificate.subjectaltname ?? "aucun"}`] : []),
    ...(left < days ? [`plus que ${left} jours, attendu ${days} : le renouvellement ne se fait pas`] : []),
  ];
  const seen = `émis par ${issuer}, encore ${left} jours`;
  return problems.length > 0 ? failed(`${problems.join(" ; ")} (${seen})`, measures) : ok(seen, measures);
}

/** The certificate, and why this machine does not trust its chain, whatever its names. */
async function readCertificate(
  site: PublicSite,
  signal: AbortSignal,
): Promise<{ readonly certificate: PeerCertificate; readonly distrust: string | undefined } | undefined> {
  const socket = connect({
    ...placeOf(site),
    // The connection must succeed, so that the check reports every problem at once.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...trustOf(site),
  });
  try {
    await once(socket, "secureConnect", { signal });
    const certificate = socket.getPeerCertificate();
    if (Object.keys(certificate).length === 0) return undefined;
    // Typed as an error, given as its code.
    const reason: unknown = socket.authorizationError;
    const distrust = typeof reason === "string" ? reason : reasonOf(reason);
    return { certificate, distrust: socket.authorized ? undefined : distrust };
  } finally {
    socket.destroy();
  }
}

type Handshake = "accepted" | "refused" | "unknown";

const WANTED: readonly { readonly version: SecureVersion; readonly accepted: boolean }[] = [
  { version: "TLSv1", accepted: false },
  { version: "TLSv1.1", accepted: false },
  { version: "TLSv1.2", accepted: true },
  { version: "TLSv1.3", accepted: true },
];

const FRENCH: Readonly<Record<Handshake, string>> = {
  accepted: "acceptée",
  refused: "refusée",
  unknown: "non essayée (cette machine ne la connaît plus)",
};

/** Whether the site refuses the old versions and accepts the new ones. */
export async function checkTlsVersions(site: PublicSite, signal: AbortSignal): Promise<Finding> {
  const results = await Promise.all(
    WANTED.map(async (wanted) => ({ ...wanted, result: await tryVersion(wanted.version, { site, signal }) })),
  );
  const seen = results.map(({ version, result }) => `${version} ${FRENCH[result]}`).join(", ");
  const wrong = results.filter(
    ({ accepted, result }) => result !== "unknown" && (result === "accepted") !== accepted,
  );
  if (wrong.length > 0) return failed(`${seen} ; attendu : TLS 1.2 et 1.3 seulement`);
  return results.some(({ result }) => result === "unknown") ? notChecked(seen) : ok(seen);
}

async function tryVersion(
  version: SecureVersion,
  { site, signal }: { readonly site: PublicSite; readonly signal: AbortSignal },
): Promise<Handshake> {
  const socket = connect({
    ...placeOf(site),
    minVersion: version,
    maxVersion: version,
    // Trust is the subject of the certificate's check.
    rejectUnauthorized: false,
    // At its default level, this machine's OpenSSL does not speak the old versions.
    ciphers: "DEFAULT@SECLEVEL=0",
  });
  let isConnected = false;
  socket.once("connect", () => (isConnected = true));
  try {
    await once(socket, "secureConnect", { signal });
    return "accepted";
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (/NO_PROTOCOLS_AVAILABLE|NO_CIPHERS_AVAILABLE/.test(code)) return "unknown";
    // An error after the connection is the site's refusal; before it, the site was not asked.
    if (isConnected && !signal.aborted) return "refused";
    throw error;
  } finally {
    socket.destroy();
  }
}
