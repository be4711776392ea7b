/** What must hold between settings; each rule runs as soon as the sections it reads are right. */
import { versionOf } from "./image-reference.ts";
import type { SectionName, Sections } from "./settings-schema.ts";

/** Memory that the operating system, dockerd and containerd need beside the services. */
export const SYSTEM_MEMORY_MIB = 614;

/** Least time that a service is given to start, beside being observed. */
const START_SECONDS = 30;

/** Certificate authorities whose trust and CAA name are known. */
const LETS_ENCRYPT = {
  "https://acme-v02.api.letsencrypt.org/directory": { trusted: true },
  "https://acme-staging-v02.api.letsencrypt.org/directory": { trusted: false },
} as const;

type Partly = { readonly [Name in SectionName]?: Sections[Name] | undefined };

export interface Problem {
  readonly path: readonly PropertyKey[];
  /** Everything after the path. */
  readonly text: string;
}

/** The problems between settings; `command` writes the command that sets a path. */
export function brokenRules(
  sections: Partly,
  command: (path: readonly PropertyKey[], value?: string) => string,
): Problem[] {
  const { domain, dns, server, acme, images, services, timeouts } = sections;
  const problems: Problem[] = [];
  const report = (path: readonly PropertyKey[], text: string) => problems.push({ path, text });
  const set = (path: readonly PropertyKey[], value?: string) => `set it with ${command(path, value)}`;

  if (server) {
    const found = [server.serviceName, server.order].filter((source) => source !== undefined).length;
    const name = command(["server", "serviceName"]);
    if (found !== 1) {
      report(
        ["server"],
        `expected either serviceName (a server you have) or order (a server to buy), got ${found === 0 ? "neither" : "both"}; ` +
          (found === 0
            ? `name your server with ${name}, or order one with ${command(["server", "order", "subsidiary"], "FR")} and ${command(["server", "order", "maxMonthlyPriceEur"])}`
            : `remove one, for example with ${command(["server", "order"]).replace(" set ", " rm ").replace(" <value>", "")}`),
      );
    }
  }

  if (domain !== undefined && dns && domain !== dns.zone && !domain.endsWith(`.${dns.zone}`)) {
    report(
      ["domain"],
      `expected a name in the zone "${dns.zone}" (dns.zone), got "${domain}"; change one of the two`,
    );
  }

  if (dns?.provider === "cloudflare" && dns.zoneId === undefined) {
    const path = ["dns", "zoneId"];
    report(
      path,
      `expected Cloudflare's id of the zone, because dns.provider is "cloudflare", got nothing; ${set(path)}`,
    );
  }
  if (dns?.provider === "ovh") {
    for (const key of ["zoneId", "cloudflareBaseUrl"] as const) {
      if (dns[key] === undefined) continue;
      const path = ["dns", key];
      const remove = command(path).replace(" set ", " rm ").replace(" <value>", "");
      report(path, `expected nothing, because dns.provider is "ovh", got a value; remove it with ${remove}`);
    }
  }

  if (acme) {
    const known = knownAuthority(acme.directory);
    const path = ["acme", "trusted"];
    if (!known && acme.trusted === undefined) {
      report(
        path,
        `expected true or false, because nobody here knows the authority of acme.directory, got nothing; ${set(path, "false")}`,
      );
    }
    if (known && acme.trusted !== undefined && acme.trusted !== known.trusted) {
      report(
        path,
        `expected ${known.trusted} for this authority of Let's Encrypt, got ${acme.trusted}; leave it out`,
      );
    }
    if (known && dns && !dns.caaIssuers.includes("letsencrypt.org")) {
      report(
        ["dns", "caaIssuers"],
        `expected "letsencrypt.org" among them, because acme.directory is Let's Encrypt's, got ${dns.caaIssuers.join(", ")}; ${set(["dns", "caaIssuers[0]"], "letsencrypt.org")}`,
      );
    }
  }

  if (images && services?.n8nRunners.enabled && versionOf(images.n8n) !== versionOf(images.n8nRunners)) {
    const path = ["images", "n8nRunners"];
    report(
      path,
      `expected the version of images.n8n, "${versionOf(images.n8n)}", got "${versionOf(images.n8nRunners)}"; ${set(path)}`,
    );
  }

  if (services) {
    const document = services.documentProcessor;
    for (const key of ["project", "location", "processorId"] as const) {
      if (!document.enabled || document[key] !== undefined) continue;
      const path = ["services", "documentProcessor", key];
      report(
        path,
        `expected a value, because services.documentProcessor.enabled is true, got nothing; ${set(path)}`,
      );
    }
  }

  if (services && server) {
    const ceilings = memoryCeilings(services);
    const sum = ceilings.reduce((total, [, mib]) => total + mib, 0);
    const room = server.memoryGib * 1024 - SYSTEM_MEMORY_MIB;
    if (sum > room) {
      report(
        ["services"],
        `expected memory limits of at most ${room} MiB in all (server.memoryGib ${server.memoryGib} less ${SYSTEM_MEMORY_MIB} MiB for the system), ` +
          `got ${sum} MiB (${ceilings.map(([name, mib]) => `${name} ${mib}`).join(", ")}); lower them by ${sum - room} MiB or raise server.memoryGib`,
      );
    }
    for (const [name, { cpus }] of Object.entries(services)) {
      if (cpus <= server.vcores) continue;
      const path = ["services", name, "cpus"];
      report(
        path,
        `expected at most the server's cores (server.vcores ${server.vcores}), got ${cpus}; ${set(path)}`,
      );
    }
  }

  if (timeouts && timeouts.convergenceSeconds < timeouts.observationSeconds + START_SECONDS) {
    const path = ["timeouts", "convergenceSeconds"];
    const least = timeouts.observationSeconds + START_SECONDS;
    report(
      path,
      `expected at least ${least} (timeouts.observationSeconds and ${START_SECONDS} for the start), got ${timeouts.convergenceSeconds}; ${set(path, String(least))}`,
    );
  }

  return problems;
}

/** Whether browsers trust what the authority issues; known only of Let's Encrypt's. */
export function knownAuthority(directory: string): { readonly trusted: boolean } | undefined {
  return directory in LETS_ENCRYPT ? LETS_ENCRYPT[directory as keyof typeof LETS_ENCRYPT] : undefined;
}

function memoryCeilings(services: Sections["services"]): [string, number][] {
  return Object.entries(services)
    .filter(([name, service]) =>
      name === "postgres" ? services.n8n.database === "postgres" : !("enabled" in service) || service.enabled,
    )
    .map(([name, service]) => [name, service.memoryMib]);
}
