/** Runs the scanner, grype, over one subject. */
import { join } from "node:path";

import { z } from "zod";

import type { RegistryLogin } from "../../common/registry.ts";
import { lastWords, tryRun } from "../../common/run.ts";
import type { Vulnerability } from "../../common/scan.ts";
import { UserError } from "../../common/user-error.ts";
import { scannerFolder } from "../tools/install.ts";
import { scannerTool } from "../tools/tools.ts";

/** What the scanner needs of the environment; a token or a passphrase in it is not its business. */
const PASSED = [
  ...["PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR", "SSL_CERT_FILE"],
  ...["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"],
];

/** Lesser ones block nothing, and fill the record. */
const SEVERITIES = ["Critical", "High"];

const report = z.object({
  matches: z.array(
    z.object({
      vulnerability: z.object({
        id: z.string(),
        severity: z.string(),
        fix: z.object({ versions: z.array(z.string()).nullish(), state: z.string() }).nullish(),
      }),
      artifact: z.object({ name: z.string(), version: z.string() }),
    }),
  ),
});

type Variables = Readonly<Record<string, string | undefined>>;

export interface ScanRequest {
  /** As grype takes it: `dir:…` or `registry:…`. */
  readonly source: string;
  readonly login?: RegistryLogin | undefined;
  readonly variables: Variables;
}

/** The critical and high findings, each once. */
export async function runScanner({ source, login, variables }: ScanRequest): Promise<Vulnerability[]> {
  const program = join(scannerFolder(scannerTool({ os: "", arch: "" }).version, variables), "grype");
  const missing = `${program}: expected the scanner, got none; install it with npm run tools -- install scanner`;
  const own = Object.fromEntries(PASSED.map((name) => [name, variables[name]]));
  const account = login && {
    GRYPE_REGISTRY_AUTH_AUTHORITY: login.host,
    GRYPE_REGISTRY_AUTH_USERNAME: login.username,
    GRYPE_REGISTRY_AUTH_PASSWORD: login.password,
  };
  const others = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
  const environment = { ...others, ...own, GRYPE_CHECK_FOR_APP_UPDATE: "false", ...account };
  const words = [program, source, "--output", "json", "--quiet", "--platform", "linux/amd64"];
  const ended = await tryRun(words, { environment, missing });
  if (ended.code !== 0) throw new UserError(lastWords(ended));
  return readReport(ended.stdout);
}

/** Reads grype's report. */
export function readReport(text: string): Vulnerability[] {
  const { matches } = report.parse(JSON.parse(text));
  const found = matches
    .filter(({ vulnerability }) => SEVERITIES.includes(vulnerability.severity))
    .map(({ vulnerability: { id, severity, fix }, artifact }): Vulnerability => ({
      id,
      severity,
      package: artifact.name,
      version: artifact.version,
      fixedIn: fix?.state === "fixed" ? (fix.versions ?? []) : [],
    }));
  // The same package lies in several places of an image.
  const byKey = new Map(found.map((one) => [`${one.id} ${one.package} ${one.version}`, one]));
  return [...byKey.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}
