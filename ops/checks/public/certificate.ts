import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from "node:tls";

import { failed, type Finding, ok } from "../finding.ts";
import { reasonOf } from "../../../common/reason.ts";
import type { World } from "../world.ts";

const DAY_MS = 86_400_000;

export interface CertificateRequest {
  readonly domain: string;
  /** Fewest days that it must still be valid. */
  readonly days: number;
  readonly signal: AbortSignal;
}

/** Whether the certificate that a visitor is given is trusted, is of the domain, and lasts. */
export async function checkCertificate(world: World, request: CertificateRequest): Promise<Finding> {
  const { domain, days, signal } = request;
  const served = await readCertificate(world, domain, signal);
  if (served === undefined) return failed(`${domain} ne présente pas de certificat`);
  const { certificate, distrust } = served;
  const left = Math.floor((Date.parse(certificate.valid_to) - world.now()) / DAY_MS);
  const wrongName = checkServerIdentity(domain, certificate);
  const issuer = [certificate.issuer.O, certificate.issuer.CN].flat().filter(Boolean).join(", ") || "inconnu";
  const measures = { certificateDays: left };
  const problems = [
    ...(distrust === undefined
      ? []
      : [
          `chaîne refusée par cette machine (${distrust}) ; ` +
            "une autorité d'essai se fait connaître par NODE_EXTRA_CA_CERTS",
        ]),
    ...(wrongName ? [`noms : attendu ${domain}, trouvé ${certificate.subjectaltname ?? "aucun"}`] : []),
    ...(left < days ? [`plus que ${left} jours, attendu ${days} : le renouvellement ne se fait pas`] : []),
  ];
  const told = `émis par ${issuer}, encore ${left} jours`;
  return problems.length > 0 ? failed(`${problems.join(" ; ")} (${told})`, measures) : ok(told, measures);
}

interface Served {
  readonly certificate: PeerCertificate;
  /** Why this machine does not trust it, whatever its name. */
  readonly distrust: string | undefined;
}

function readCertificate(world: World, domain: string, signal: AbortSignal): Promise<Served | undefined> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({
      host: domain,
      port: world.ports.https,
      servername: domain,
      // Judged here, so that every problem is told at once.
      rejectUnauthorized: false,
      // The name is looked at apart from the chain.
      checkServerIdentity: () => undefined,
      ...(world.authorities === undefined ? {} : { ca: world.authorities }),
    });
    const stop = () => socket.destroy(new Error("interrompu"));
    signal.addEventListener("abort", stop, { once: true });
    socket.on("secureConnect", () => {
      const certificate = socket.getPeerCertificate();
      // Typed as an error, given as its code.
      const reason: unknown = socket.authorizationError;
      const distrust = socket.authorized ? undefined : typeof reason === "string" ? reason : reasonOf(reason);
      socket.destroy();
      resolve(Object.keys(certificate).length === 0 ? undefined : { certificate, distrust });
    });
    socket.on("error", reject);
    socket.on("close", () => signal.removeEventListener("abort", stop));
  });
}
