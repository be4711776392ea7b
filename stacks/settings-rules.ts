/** Rules between settings. Each rule runs when the settings that it reads are valid, even if others are not. */
import { MOST_EDGE_RULES, MOST_SSH_NETWORKS } from "../infra/edge-limits.ts";
import { widthProblem } from "./address-range.ts";
import { editorName } from "./environment.ts";
import { monitoringRules } from "./monitoring-rules.ts";
import { capacityRules } from "./capacity-rules.ts";
import { serverRules } from "./servers-rules.ts";
import { at, has, type Judged, type Problem } from "./setting-rule.ts";
import { versionOf } from "../common/image-reference.ts";
import type { Sections } from "./settings-schema.ts";

/** Characters of a host name, as DNS has them. */
const LONGEST_NAME = 253;

/** Shortest time that a service has to start, in addition to the observation. */
const START_SECONDS = 30;

/** Let's Encrypt's two authorities, whose trust and CAA name are known. */
const LETS_ENCRYPT: Readonly<Record<string, { readonly trusted: boolean }>> = {
  "https://acme-v02.api.letsencrypt.org/directory": { trusted: true },
  "https://acme-staging-v02.api.letsencrypt.org/directory": { trusted: false },
};

/** Whether browsers trust the authority; undefined for every authority but Let's Encrypt's. */
export function knownAuthority(directory: string): { readonly trusted: boolean } | undefined {
  return Object.hasOwn(LETS_ENCRYPT, directory) ? LETS_ENCRYPT[directory] : undefined;
}

/** User that the image creates: OVHcloud's images name it after the distribution. */
export function loginUserOf({ loginUser, image }: Pick<Sections["server"], "loginUser" | "image">): string {
  return loginUser ?? (image.split(" ")[0] ?? "").toLowerCase();
}

export function brokenRules(judged: Judged): Problem[] {
  return [
    ...serverRules,
    everyAdminOnce,
    narrowAdmins,
    reachablePort,
    dockerOfImage,
    domainInZone,
    editorNameFits,
    zoneOfProvider,
    authority,
    runnersLikeN8n,
    registryOfBuilds,
    documentProcessor,
    documentsHaveReader,
    edgeFirewallFits,
    backupPlace,
    backupElsewhere,
    backupAge,
    ...monitoringRules,
    ...capacityRules,
    convergenceOutlastsObservation,
  ].flatMap((rule) => rule(judged));
}

// Two resources would write the same account, and the one that goes would take it from the other.
function everyAdminOnce({ sections: { server, ssh } }: Judged): Problem[] {
  if (!ssh || !server) return [];
  const names = [loginUserOf(server), ...ssh.admins.map(({ name }) => name)];
  return ssh.admins.flatMap(({ name }, index) => {
    if (names.indexOf(name) > index) return [];
    const path = ["ssh", "admins", index, "name"];
    const text = `expected a user besides server.loginUser and the other admins, got "${name}" again; remove this entry, and put its keys where the name stands first`;
    return [{ path, text }];
  });
}

// An ordered server listens on 22, and would be paid before anybody notices that nothing answers elsewhere.
function reachablePort({ given, sections: { ssh, servers }, commands }: Judged): Problem[] {
  if (!ssh) return [];
  if (ssh.nextPort === ssh.port) {
    const text = `expected another port than ssh.port, got ${ssh.nextPort} again; remove it with ${commands.remove(["ssh", "nextPort"])}`;
    return [{ path: ["ssh", "nextPort"], text }];
  }
  const isOrdered =
    has(given, "server", "order") || servers?.some(({ order }) => order !== undefined) === true;
  if (!isOrdered || ssh.port === 22) return [];
  const name = commands.set(["server", "serviceName"]);
  const text =
    `expected 22, because a server that is ordered listens there (server.order), got ${ssh.port}; set it with ${commands.set(["ssh", "port"], "22")}; ` +
    `once the server is there, name it with ${name} instead of ordering one, and move its port with ssh.nextPort`;
  return [{ path: ["ssh", "port"], text }];
}

function dockerOfImage({ sections: { server, host }, commands }: Judged): Problem[] {
  if (server?.image.endsWith(" - Docker") !== true || host?.dockerSource !== "distribution") return [];
  const path = ["host", "dockerSource"];
  const why = `because server.image is "${server.image}", which brings Docker's own packages`;
  const text = `expected "docker", ${why}, got "distribution"; set it with ${commands.set(path, "docker")}`;
  return [{ path, text }];
}

function domainInZone({ sections: { domain, dns } }: Judged): Problem[] {
  if (domain === undefined || !dns || domain === dns.zone || domain.endsWith(`.${dns.zone}`)) return [];
  const text = `expected a name in the zone "${dns.zone}" (dns.zone), got "${domain}"; change one of the two`;
  return [{ path: ["domain"], text }];
}

function editorNameFits({ sections: { domain, services } }: Judged): Problem[] {
  if (domain === undefined || !services || services.gateway.editorCidrs.length === 0) return [];
  const name = editorName({ domain });
  if (name.length <= LONGEST_NAME) return [];
  const most = LONGEST_NAME - (name.length - domain.length);
  const text = `expected at most ${most} characters, because services.gateway.editorCidrs publishes "n8n." in front of it, got ${domain.length}; shorten it, or empty that list`;
  return [{ path: ["domain"], text }];
}

function zoneOfProvider({ given, commands }: Judged): Problem[] {
  const provider = at(given, "dns", "provider");
  if (provider === "cloudflare" && !has(given, "dns", "zoneId")) {
    const path = ["dns", "zoneId"];
    const why = 'because dns.provider is "cloudflare"';
    return [
      {
        path,
        text: `expected Cloudflare's id of the zone, ${why}, got nothing; set it with ${commands.set(path)}`,
      },
    ];
  }
  if (provider !== "ovh") return [];
  return ["zoneId", "cloudflareBaseUrl"]
    .map((key) => ["dns", key] as const)
    .filter((path) => has(given, ...path))
    .map((path) => ({
      path,
      text: `expected nothing, because dns.provider is "ovh", got a value; remove it with ${commands.remove(path)}`,
    }));
}

function authority({ sections: { acme, dns }, commands }: Judged): Problem[] {
  if (!acme) return [];
  const problems: Problem[] = [];
  const known = knownAuthority(acme.directory);
  const path = ["acme", "trusted"];
  if (!known && acme.trusted === undefined) {
    const text = `expected true or false, because acme.directory is none that is known, got nothing; set it with ${commands.set(path, "false")}`;
    problems.push({ path, text });
  }
  if (known && acme.trusted !== undefined && acme.trusted !== known.trusted) {
    const text = `expected ${known.trusted} for this authority of Let's Encrypt, got ${acme.trusted}; remove it with ${commands.remove(path)}`;
    problems.push({ path, text });
  }
  if (known && dns && !dns.caaIssuers.includes("letsencrypt.org")) {
    const set = commands.set(["dns", "caaIssuers", dns.caaIssuers.length], "letsencrypt.org");
    const text = `expected "letsencrypt.org" among them, because acme.directory is Let's Encrypt's, got ${dns.caaIssuers.join(", ")}; add it with ${set}`;
    problems.push({ path: ["dns", "caaIssuers"], text });
  }
  return problems;
}

function runnersLikeN8n({ sections: { images, services }, commands }: Judged): Problem[] {
  if (!images || services?.n8nRunners.enabled !== true) return [];
  const [n8n, runners] = [versionOf(images.n8n), versionOf(images.n8nRunners)];
  if (n8n === runners) return [];
  const path = ["images", "n8nRunners"];
  const text = `expected the version of images.n8n, "${n8n}", got "${runners}"; set it with ${commands.set(path)}`;
  return [{ path, text }];
}

function registryOfBuilds({ given, commands }: Judged): Problem[] {
  if (has(given, "images", "registry")) return [];
  const set = commands.set(["images", "registry"], "registry.exemple.fr/technicia");
  const sources = at(given, "images", "sources");
  const users = [
    ...(has(given, "images", "registryUser") ? ["images.registryUser"] : []),
    ...Object.keys(sources ?? {}).map((service) => `images.sources.${service}`),
  ];
  if (users.length === 0) return [];
  const text = `expected a registry, because ${users.join(" and ")} ${users.length === 1 ? "is" : "are"} set, got nothing; set it with ${set}`;
  return [{ path: ["images", "registry"], text }];
}

function documentProcessor({ given, commands }: Judged): Problem[] {
  const service = ["services", "documentProcessor"] as const;
  if (String(at(given, ...service, "enabled")) !== "true") return [];
  return ["project", "location", "processorId"]
    .map((key) => [...service, key] as const)
    .filter((path) => !has(given, ...path))
    .map((path) => ({
      path,
      text: `expected a value, because services.documentProcessor.enabled is true, got nothing; set it with ${commands.set(path)}`,
    }));
}

/** Nobody else reads a PDF, and the volume would stay empty. */
function documentsHaveReader({ given, commands }: Judged): Problem[] {
  if (String(at(given, "documents", "enabled")) !== "true") return [];
  const path = ["services", "documentProcessor", "enabled"] as const;
  const found = String(at(given, ...path));
  if (found === "true") return [];
  const text = `expected true, because documents.enabled is true, got ${found}; set it with ${commands.set(path, "true")}, or keep no files with ${commands.set(["documents", "enabled"], "false")}`;
  return [{ path, text }];
}

/** ssh from everywhere is an exception with a date, which the policy pack judges. */
function narrowAdmins({ sections: { ssh, policy }, commands }: Judged): Problem[] {
  if (!ssh || policy?.exceptions.some(({ rule }) => rule === "sshOpen")) return [];
  return (["v4", "v6"] as const).flatMap((family) =>
    ssh.adminCidrs[family].flatMap((range, index) => {
      const path = ["ssh", "adminCidrs", family, index];
      const problem = widthProblem(range, family === "v4" ? "an IPv4 range" : "an IPv6 range");
      const text = `${problem ?? ""}, got "${range}"; set it with ${commands.set(path)}`;
      return problem === undefined ? [] : [{ path, text }];
    }),
  );
}

function edgeFirewallFits({ sections: { ssh, servers = [] } }: Judged): Problem[] {
  if (!ssh) return [];
  const ports = ssh.nextPort === undefined ? 1 : 2;
  // One for each of the others, which the tunnel comes from.
  const peers = Math.max(0, servers.length - 1);
  const [count, most] = [ssh.adminCidrs.v4.length, Math.floor((MOST_SSH_NETWORKS - peers) / ports)];
  if (count <= most) return [];
  const each =
    (ports === 1 ? "" : ", two for each while ssh.nextPort is set") +
    (peers === 0 ? "" : `, and ${peers} for the other servers`);
  const text =
    `expected at most ${most} ranges, because OVHcloud's edge firewall holds ${MOST_EDGE_RULES} rules${each}, got ${count}; ` +
    "merge neighbouring ranges, or let people in through a VPN with one address";
  return [{ path: ["ssh", "adminCidrs", "v4"], text }];
}

function backupPlace({ given, commands }: Judged): Problem[] {
  const [hasProject, hasRegion, hasBucket] = ["project", "region", "bucket"].map((key) =>
    has(given, "backup", key),
  );
  if (hasProject && hasBucket) {
    const text = `expected either project (the program makes the bucket) or bucket (one that you have), got both; remove one, for example with ${commands.remove(["backup", "bucket"])}`;
    return [{ path: ["backup"], text }];
  }
  if (hasProject === hasRegion) return [];
  const path = ["backup", hasProject ? "region" : "project"];
  const why = hasProject ? "because backup.project is set" : "because backup.region is set";
  return [{ path, text: `expected a value, ${why}, got nothing; set it with ${commands.set(path)}` }];
}

// A fire takes a whole datacentre.
function backupElsewhere({ sections: { backup, server }, commands }: Judged): Problem[] {
  if (
    !backup ||
    !server ||
    backup.region === "" ||
    backup.region.split("-")[0] !== server.datacentre.split("-")[0]
  )
    return [];
  const path = ["backup", "region"];
  const text = `expected another region than the server's (server.datacentre "${server.datacentre}"), got "${backup.region}"; set it with ${commands.set(path)}`;
  return [{ path, text }];
}

// With one set missed, as when the server restarts, deployments go on.
function backupAge({ sections: { backup }, commands }: Judged): Problem[] {
  if (!backup || backup.maxAgeHours >= 2 * backup.hours) return [];
  const path = ["backup", "maxAgeHours"];
  const set = commands.set(path, String(2 * backup.hours));
  return [
    {
      path,
      text: `expected at least ${2 * backup.hours} (twice backup.hours), got ${backup.maxAgeHours}; set it with ${set}`,
    },
  ];
}

// The wait for a rollout includes the observation: a shorter one would fail every update.
function convergenceOutlastsObservation({ sections: { timeouts }, commands }: Judged): Problem[] {
  if (!timeouts) return [];
  const least = timeouts.observationSeconds + START_SECONDS;
  if (timeouts.convergenceSeconds >= least) return [];
  const path = ["timeouts", "convergenceSeconds"];
  const what = `at least ${least} (timeouts.observationSeconds and ${START_SECONDS} for the start)`;
  const set = commands.set(path, String(least));
  return [{ path, text: `expected ${what}, got ${timeouts.convergenceSeconds}; set it with ${set}` }];
}
