import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { run } from "../common/run.ts";

const DAYS = "3650";

/** A certificate of the rehearsal's own authority. */
export interface Issued {
  readonly directory: string;
  readonly certificate: string;
  readonly key: string;
}

/** Creates the rehearsal's certificate authority in `directory`, once. Returns the path of its certificate. */
export async function ensureAuthority(directory: string): Promise<string> {
  const certificate = join(directory, "ca.pem");
  if (existsSync(certificate)) return certificate;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await openssl(
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS],
    ["-subj", "/CN=TechnicIA rehearsal authority", "-addext", "basicConstraints=critical,CA:TRUE"],
    ["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    ["-keyout", join(directory, "ca-key.pem"), "-out", `${certificate}.new`],
  );
  await rename(`${certificate}.new`, certificate);
  return certificate;
}

/** What a certificate is issued for. */
interface CertificateRequest {
  /** Folder below the authority's. */
  readonly name: string;
  readonly names: readonly string[];
  readonly addresses?: readonly string[];
}

/** Issues a certificate, once. */
export async function ensureCertificate(
  directory: string,
  { name, names, addresses = [] }: CertificateRequest,
): Promise<Issued> {
  const own = join(directory, name);
  const issued = { directory: own, certificate: join(own, "cert.pem"), key: join(own, "key.pem") };
  if (existsSync(issued.certificate)) return issued;
  await mkdir(own, { recursive: true });
  const alternatives = [...names.map((value) => `DNS:${value}`), ...addresses.map((value) => `IP:${value}`)];
  const extensions = join(own, "extensions");
  await writeFile(extensions, `subjectAltName=${alternatives.join(",")}\nextendedKeyUsage=serverAuth\n`);
  await openssl(
    ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ["-subj", `/CN=${names[0] ?? name}`, "-keyout", issued.key, "-out", join(own, "request.pem")],
  );
  // A serial number of its own: several certificates are issued at once, and a file with the next number would be shared.
  const serial = `0x${randomBytes(16).toString("hex")}`;
  await openssl(
    ["x509", "-req", "-in", join(own, "request.pem"), "-days", DAYS, "-extfile", extensions],
    ["-CA", join(directory, "ca.pem"), "-CAkey", join(directory, "ca-key.pem"), "-set_serial", serial],
    ["-out", `${issued.certificate}.new`],
  );
  await rename(`${issued.certificate}.new`, issued.certificate);
  return issued;
}

/** Writes one file with every certificate that the rehearsal's operator trusts. */
export async function writeBundle(path: string, certificates: readonly string[]): Promise<void> {
  await writeFile(path, `${certificates.map((certificate) => certificate.trim()).join("\n")}\n`);
}

/** Certificates that this machine's own settings add; empty when there are none. */
export async function machineCertificates(): Promise<string> {
  const extra = process.env["NODE_EXTRA_CA_CERTS"];
  return extra === undefined || !existsSync(extra) ? "" : readFile(extra, "utf8");
}

async function openssl(...parts: readonly string[][]): Promise<void> {
  await run(["openssl", ...parts.flat()]);
}
