import * as pulumi from "@pulumi/pulumi";
import { afterEach, describe, expect, it } from "vitest";

import { readConfiguration } from "../../stacks/configuration.ts";
import { parseSettings, SettingsError, settingsIn } from "../../stacks/settings.ts";
import { change, publicKey, environmentWith, validSettings, type Settings } from "../support/fixtures.ts";

/** The problems of the valid settings with one change, one line each; none when they are still right. */
function problems(change: (settings: Settings) => void): string[] {
  const settings = validSettings();
  change(settings);
  try {
    parseSettings("test", settings);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const [heading, ...lines] = error.message.split("\n  ");
    expect(heading).toBe('the settings of stack "test" have problems:');
    return lines;
  }
  return [];
}

function setCommand(path: string, value = "<value>"): string {
  const key = path.includes("[") ? `'technicia:${path}'` : `technicia:${path}`;
  return `pulumi config set ${path.includes(".") ? "--path " : ""}${key} ${value} --stack test`;
}

const A_HOST_NAME = "a host name without scheme or port, such as technicia.exemple.fr";
const A_ZONE = "a host name without scheme or port, such as exemple.fr";
const A_SERVICE_NAME = "the name OVHcloud gave the server, such as vps-1a2b3c4d.vps.ovh.net";
const A_DATACENTRE = "a datacentre code of the VPS range, such as GRA (GRA11 is a Public Cloud region)";
const AN_OS = "Debian 11 or later, or Ubuntu 22.04 or later, as OVHcloud names it, such as Ubuntu 22.04";
const A_PUBLIC_KEY = "an OpenSSH public key on one line, such as ssh-ed25519 AAAA… name";
const AN_ENDPOINT = "ovh-eu, or the address of an API (https://…) without a slash at the end";
const AN_IMAGE = "an image with an exact version or a digest, such as qdrant/qdrant:v1.19.0-unprivileged";
const A_PROCESSOR = "the id of a Document AI processor, 8 to 20 hexadecimal digits";
const A_ZONE_ID = "Cloudflare's id of the zone, 32 hexadecimal digits";
const A_DIRECTORY = "the address of an ACME directory (https://…)";
const A_SUBSIDIARY = '"DE", "ES", "FI", "FR", "IE", "IT", "LT", "NL" or "PT"';
const A_NAME = "a name of at most 32 characters, without <, > or a dot right before a letter, as n8n demands";
const A_FINGERPRINT = "the fingerprint of a host key as OpenSSH prints it, SHA256:…";
const A_PERSON =
  "a user who may log in, neither root, whom sshd refuses, nor an account or group of the system";
const A_KEY_WITHOUT_TOUCH =
  "a key that signs without a touch, such as ssh-ed25519; a security key (sk-…) is for people, under ssh.admins";
const securityKey = `sk-ssh-ed25519@openssh.com ${Buffer.concat([
  Buffer.from([0, 0, 0, 26]),
  Buffer.from("sk-ssh-ed25519@openssh.com"),
  Buffer.from([0, 0, 0, 32]),
  Buffer.alloc(32, 7),
  Buffer.from([0, 0, 0, 4]),
  Buffer.from("ssh:"),
]).toString("base64")}`;
const MIB = "a whole number of MiB from 16 to 65536, without a unit";
const A_WEEKDAY = '"monday", "tuesday", "wednesday", "thursday", "friday", "saturday" or "sunday"';
const A_TIME = 'a time of day in UTC, such as "09:00"';
const A_DAY = 'a day in quotes, such as "2026-12-24"';
const CORES = "a number of cores of at least 0.05, such as 0.5";

const WRONG_VALUES: readonly (readonly [path: string, value: unknown, expected: string, got: string])[] = [
  ["domain", "technicia", A_HOST_NAME, '"technicia"'],
  ["adminEmail", "admin", "an e-mail address", '"admin"'],
  ["locale.language", "french", "a language code, such as fr", '"french"'],
  ["locale.timeZone", "Paris", "a time zone of the IANA list, such as Europe/Paris", '"Paris"'],
  ["locale.timeZone", "europe/paris", "a time zone of the IANA list, such as Europe/Paris", '"europe/paris"'],
  ["server.serviceName", "VPS-TEST-XYZ", A_SERVICE_NAME, '"VPS-TEST-XYZ"'],
  ["server.vcores", 0, "a whole number of cores from 1 to 64, without a unit", "0"],
  ["server.memoryGib", "8GB", "a whole number of GiB from 1 to 512, without a unit", '"8GB"'],
  ["server.memoryGib", 7.5, "a whole number of GiB from 1 to 512, without a unit", "7.5"],
  ["server.datacentre", "GRA11", A_DATACENTRE, '"GRA11"'],
  ["server.image", "Windows Server 2022", AN_OS, '"Windows Server 2022"'],
  ["server.image", "debian 12", AN_OS, '"debian 12"'],
  ["server.image", "Debian 10", AN_OS, '"Debian 10"'],
  ["server.image", "Ubuntu 20.04", AN_OS, '"Ubuntu 20.04"'],
  ["server.image", "Ubuntu 22", AN_OS, '"Ubuntu 22"'],
  ["server.image", "Debian 12.04", AN_OS, '"Debian 12.04"'],
  ["server.image", "Debian 12 - Plesk", AN_OS, '"Debian 12 - Plesk"'],
  ["server.loginUser", "Debian User", "a Linux user name, such as debian", '"Debian User"'],
  ["server.loginUser", "root", A_PERSON, '"root"'],
  ["server.loginUser", "www-data", A_PERSON, '"www-data"'],
  ["server.deleteAtExpiry", "yes", "true or false", '"yes"'],
  ["ssh.port", 70_000, "a port from 1 to 65535", "70000"],
  ["ssh.port", "ssh", "a port from 1 to 65535", '"ssh"'],
  ["ssh.nextPort", 0, "a port from 1 to 65535", "0"],
  ["ssh.hostKey", "SHA256:short", A_FINGERPRINT, '"SHA256:short"'],
  ["ssh.addressService", "ipify.org", "the address of a service (https://…), or none", '"ipify.org"'],
  ["ssh.privateKeyFile", "id_ed25519", "the path of a private key from / or ~/", '"id_ed25519"'],
  ["ssh.publicKey", "ssh-ed25519 AAAA me", A_PUBLIC_KEY, '"ssh-ed25519 AAAA me"'],
  ["ssh.publicKey", publicKey.replace("ssh-ed25519", "ssh-rsa"), A_PUBLIC_KEY, "a text of 93 characters"],
  ["ssh.publicKey", "-----BEGIN OPENSSH PRIVATE KEY-----", A_PUBLIC_KEY, "a private key"],
  ["ssh.publicKey", securityKey, A_KEY_WITHOUT_TOUCH, `a text of ${securityKey.length} characters`],
  ["ovh.endpoint", "ovh-mars", AN_ENDPOINT, '"ovh-mars"'],
  ["ovh.endpoint", "https://api.example/1.0/", AN_ENDPOINT, '"https://api.example/1.0/"'],
  // A key would travel in clear.
  ["ovh.endpoint", "http://eu.api.ovh.com/1.0", AN_ENDPOINT, '"http://eu.api.ovh.com/1.0"'],
  ["dns.provider", "route53", '"cloudflare" or "ovh"', '"route53"'],
  ["dns.zone", "*.exemple.fr", A_ZONE, '"*.exemple.fr"'],
  ["dns.zoneId", "exemple.fr", A_ZONE_ID, '"exemple.fr"'],
  ["dns.cloudflareBaseUrl", "clouds", AN_ENDPOINT.replace("ovh-eu, or ", ""), '"clouds"'],
  [
    "dns.cloudflareBaseUrl",
    "http://api.cloudflare.com/client/v4",
    AN_ENDPOINT.replace("ovh-eu, or ", ""),
    '"http://api.cloudflare.com/client/v4"',
  ],
  ["dns.ttlSeconds", 1, "a whole number of seconds from 60 to 86400, without a unit", "1"],
  ["host.dockerSource", "snap", '"distribution" or "docker"', '"snap"'],
  ["host.swapGib", -1, "a whole number of GiB from 0 to 64, without a unit", "-1"],
  ["acme.directory", "http://acme.example/dir", A_DIRECTORY, '"http://acme.example/dir"'],
  ["acme.keyType", "dsa", '"ecdsa" or "rsa"', '"dsa"'],
  ["acme.trusted", "maybe", "true or false", '"maybe"'],
  ["services.qdrant.memoryMib", "2g", MIB, '"2g"'],
  ["services.qdrant.apiKey", "on", "true or false", '"on"'],
  ["services.vectorStore.cpus", 0, CORES, "0"],
  ["services.n8n.memoryMib", 8, MIB, "8"],
  ["services.n8n.database", "mysql", '"sqlite" or "postgres"', '"mysql"'],
  ["services.n8n.owner.firstName", "A b".repeat(11), A_NAME, `"${"A b".repeat(11)}"`],
  ["services.n8n.owner.lastName", " ", A_NAME, '" "'],
  ["services.n8nRunners.enabled", 1, "true or false", "1"],
  ["services.postgres.memoryMib", "512 MiB", MIB, '"512 MiB"'],
  ["services.gateway.cpus", "half", CORES, '"half"'],
  ["services.documentProcessor.enabled", "no", "true or false", '"no"'],
  [
    "services.documentProcessor.project",
    "your-project-id",
    "the id of a Google Cloud project, such as technicia-prod-1234",
    '"your-project-id"',
  ],
  ["services.documentProcessor.location", "us-central1", '"eu" or "us"', '"us-central1"'],
  ["services.documentProcessor.processorId", "my-processor", A_PROCESSOR, '"my-processor"'],
  ["services.visionClassifier.memoryMib", 100_000, MIB, "100000"],
  ["services.frontend.cpus", -1, CORES, "-1"],
  ["uploadMaxMib", "200MB", "a whole number of MiB from 1 to 2048, without a unit", '"200MB"'],
  ["uploadMaxMib", 0, "a whole number of MiB from 1 to 2048, without a unit", "0"],
  ["timeouts.uploadSeconds", 10, "a whole number of seconds from 30 to 7200, without a unit", "10"],
  ["timeouts.answerSeconds", "2m", "a whole number of seconds from 30 to 3600, without a unit", '"2m"'],
  ["timeouts.convergenceSeconds", 1, "a whole number of seconds from 30 to 3600, without a unit", "1"],
  ["timeouts.observationSeconds", 0, "a whole number of seconds from 5 to 3600, without a unit", "0"],
  ["protectData", "maybe", "true or false", '"maybe"'],
  ["operations.window.fromUtc", "9:00", A_TIME, '"9:00"'],
  ["operations.window.toUtc", "24:00", A_TIME, '"24:00"'],
  ["operations.window.toUtc", "09:00", 'later than fromUtc, "09:00"', '"09:00"'],
  ["operations.holidays.country", "SN", '"FR"', '"SN"'],
  ["operations.dnsSettledHours", -1, "a whole number of hours from 0 to 720, without a unit", "-1"],
];

const REQUIRED: readonly (readonly [path: string, expected: string])[] = [
  ["domain", A_HOST_NAME],
  ["adminEmail", "an e-mail address"],
  ["locale.timeZone", "a time zone of the IANA list, such as Europe/Paris"],
  ["server.vcores", "a whole number of cores from 1 to 64, without a unit"],
  ["server.deleteAtExpiry", "true or false"],
  ["ssh.publicKey", A_PUBLIC_KEY],
  ["dns.zone", A_ZONE],
  ["images.certbot", AN_IMAGE],
  ["services.qdrant.memoryMib", MIB],
  ["services.n8n.owner.firstName", A_NAME],
  ["uploadMaxMib", "a whole number of MiB from 1 to 2048, without a unit"],
  ["protectData", "true or false"],
  ["operations.dnsSettledHours", "a whole number of hours from 0 to 720, without a unit"],
];

describe("parseSettings", () => {
  it("yields the environment that the settings describe", () => {
    const environment = environmentWith();

    expect(environment).toMatchObject({
      name: "test",
      server: { source: { kind: "adopt", serviceName: "vps-1a2b3c4d.vps.ovh.net" }, vcores: 4 },
      dns: { zoneId: "0123456789abcdef0123456789abcdef", cloudflareBaseUrl: "" },
      acme: { trusted: true },
      services: { documentProcessor: { location: "eu" } },
    });
    expect(environment.server).not.toHaveProperty("serviceName");
  });

  it.each(WRONG_VALUES)("fails when %s is %j", (path, value, expected, got) => {
    expect(problems((settings) => change(settings, path, value))).toContain(
      `technicia:${path}: expected ${expected}, got ${got}; set it with ${setCommand(path)}`,
    );
  });

  it.each(REQUIRED)("fails when %s is left out or left empty", (path, expected) => {
    const problem = `technicia:${path}: expected ${expected}, got nothing; set it with ${setCommand(path)}`;

    for (const nothing of [undefined, null, ""]) {
      expect(problems((settings) => change(settings, path, nothing))).toContain(problem);
    }
  });

  it("names every setting of a section that is missing", () => {
    const found = problems((settings) => change(settings, "timeouts", undefined));

    expect(found.map((line) => line.split(": ")[0])).toEqual([
      "technicia:timeouts.uploadSeconds",
      "technicia:timeouts.answerSeconds",
      "technicia:timeouts.convergenceSeconds",
      "technicia:timeouts.observationSeconds",
    ]);
  });

  it("reports all problems of all sections in one error", () => {
    const found = problems((settings) => {
      change(settings, "domain", "nowhere");
      change(settings, "server.vcores", "four");
      change(settings, "services.n8n.cpus", "two");
      change(settings, "dns.zoneId", undefined);
      change(settings, "protectData", "");
    });

    expect(found.map((line) => line.split(": ")[0])).toEqual([
      "technicia:domain",
      "technicia:server.vcores",
      "technicia:services.n8n.cpus",
      "technicia:protectData",
      "technicia:dns.zoneId",
    ]);
  });

  it("names the file when a section is no map", () => {
    expect(problems((settings) => change(settings, "locale", "fr"))).toEqual([
      'technicia:locale: expected a map of settings, got "fr"; edit it in Pulumi.test.yaml',
    ]);
  });

  it("names the file when a single value is a structure", () => {
    expect(problems((settings) => change(settings, "protectData", { data: true }))).toEqual([
      "technicia:protectData: expected true or false, got a map; edit it in Pulumi.test.yaml",
    ]);
  });

  it("reads numbers and booleans that the CLI stored as text", () => {
    const settings = validSettings();
    change(settings, "uploadMaxMib", "200");
    change(settings, "protectData", "false");
    change(settings, "services.gateway.cpus", "0.25");

    expect(parseSettings("test", settings)).toMatchObject({
      uploadMaxMib: 200,
      protectData: false,
      services: { gateway: { cpus: 0.25 } },
    });
  });
});

describe("unknown settings", () => {
  it.each([
    ["domian", "technicia:domian: unknown setting; did you mean domain?"],
    ["server.datacenter", "technicia:server.datacenter: unknown setting; did you mean datacentre?"],
    [
      "services.qdrant.memoryMb",
      "technicia:services.qdrant.memoryMb: unknown setting; did you mean memoryMib?",
    ],
    [
      "services.n8n.owner.firstname",
      "technicia:services.n8n.owner.firstname: unknown setting; did you mean firstName?",
    ],
    [
      "color",
      "technicia:color: unknown setting; remove it with pulumi config rm technicia:color --stack test",
    ],
    [
      "host.kernel",
      "technicia:host.kernel: unknown setting; remove it with pulumi config rm --path technicia:host.kernel --stack test",
    ],
  ])("fails when %s is given, and suggests the nearest name", (path, problem) => {
    expect(problems((settings) => change(settings, path, "x"))).toEqual([problem]);
  });

  it("fails when an administrator has an unknown key", () => {
    expect(problems((settings) => change(settings, "ssh.admins.0.key", publicKey))).toEqual([
      "technicia:ssh.admins[0].key: unknown setting; did you mean keys?",
    ]);
  });

  it.each(["nobody", "systemd-network", "_apt", "docker"])(
    "fails when an administrator is called %s",
    (name) => {
      expect(problems((settings) => change(settings, "ssh.admins.0.name", name))).toContainEqual(
        expect.stringContaining(`technicia:ssh.admins[0].name: expected ${A_PERSON}, got "${name}"; `),
      );
    },
  );

  it("fails when the port of a server to order is not the one that it will listen on", () => {
    const found = problems((settings) => {
      change(settings, "server.serviceName", undefined);
      change(settings, "server.order", { subsidiary: "FR", maxMonthlyPriceEur: 15 });
      change(settings, "ssh.port", 2222);
    });

    expect(found).toEqual([
      expect.stringMatching(
        /^technicia:ssh\.port: expected 22, because a server that is ordered listens there \(server\.order\), got 2222; set it with .*move its port with ssh\.nextPort$/,
      ),
    ]);
  });

  it("fails when sshd is to move to the port that it has", () => {
    expect(problems((settings) => change(settings, "ssh.nextPort", 22))).toEqual([
      "technicia:ssh.nextPort: expected another port than ssh.port, got 22 again; remove it with pulumi config rm --path technicia:ssh.nextPort --stack test",
    ]);
  });

  it("accepts a security key of a person, who can touch it", () => {
    expect(problems((settings) => change(settings, "ssh.admins.0.keys", [securityKey]))).toEqual([]);
  });

  it.each(["debian", "bob"])("fails when the administrator %s is named twice", (name) => {
    const keys = [publicKey];
    const found = problems((settings) =>
      change(settings, "ssh.admins", [
        { name: "bob", keys },
        { name, keys },
      ]),
    );

    expect(found).toEqual([
      `technicia:ssh.admins[1].name: expected a user besides server.loginUser and the other admins, got "${name}" again; ` +
        "remove this entry, and put its keys where the name stands first",
    ]);
  });

  it("does not show the value of a secret whose name is misspelt", () => {
    const found = problems((settings) => change(settings, "voyageApikey", "pa-canary"));

    expect(found).toEqual(["technicia:voyageApikey: unknown setting; did you mean voyageApiKey?"]);
  });

  it("does not show a token that is given in place of a setting", () => {
    const token = "Zx9_canary-canary-canary-canary-canary-1";
    const found = problems((settings) => change(settings, "dns.zoneId", token));

    expect(found).toEqual([
      `technicia:dns.zoneId: expected ${A_ZONE_ID}, got a text of 40 characters; set it with ${setCommand("dns.zoneId")}`,
    ]);
  });
});

describe("server", () => {
  const order = { subsidiary: "FR", maxMonthlyPriceEur: "15.5" };

  it("is ordered when order is given", () => {
    const settings = validSettings();
    change(settings, "server.serviceName", undefined);
    change(settings, "server.order", order);

    expect(parseSettings("test", settings).server.source).toEqual({
      kind: "order",
      subsidiary: "FR",
      maxMonthlyPriceEur: 15.5,
    });
  });

  it.each([
    ["subsidiary", "GB", A_SUBSIDIARY, '"GB"'],
    ["maxMonthlyPriceEur", "abc", "a number above 0", '"abc"'],
    ["maxMonthlyPriceEur", 0, "a number above 0", "0"],
  ])("fails when order.%s is %j", (key, value, expected, got) => {
    const found = problems((settings) => {
      change(settings, "server.serviceName", undefined);
      change(settings, "server.order", { ...order, [key]: value });
    });

    expect(found).toEqual([
      `technicia:server.order.${key}: expected ${expected}, got ${got}; set it with ${setCommand(`server.order.${key}`)}`,
    ]);
  });

  it("fails when neither adopted nor ordered", () => {
    expect(problems((settings) => change(settings, "server.serviceName", undefined))).toEqual([
      "technicia:server: expected either serviceName (a server you have) or order (a server to buy), got neither; " +
        `name your server with ${setCommand("server.serviceName")}, or order one with ${setCommand("server.order.subsidiary", "FR")} ` +
        `and ${setCommand("server.order.maxMonthlyPriceEur")}`,
    ]);
  });

  it("fails when both adopted and ordered", () => {
    expect(problems((settings) => change(settings, "server.order", order))).toEqual([
      "technicia:server: expected either serviceName (a server you have) or order (a server to buy), got both; " +
        "remove one, for example with pulumi config rm --path technicia:server.order --stack test",
    ]);
  });
});

describe("operations", () => {
  it.each([
    ["window.days[0]", "mardi", A_WEEKDAY],
    ["holidays.extra[0]", "24/12/2026", A_DAY],
    ["freezes[0].from", "2026-02-30", A_DAY],
    ["freezes[0].to", "2026-12-17", 'not before from, "2026-12-18"'],
    ["freezes[0].reason", " ", "why, in a few words"],
  ])("fails when %s is %j", (path, value, expected) => {
    const place = `operations.${path.replaceAll("[0]", ".0")}`;
    const whole = `operations.${path}`;

    expect(problems((settings) => change(settings, place, value))).toEqual([
      `technicia:${whole}: expected ${expected}, got "${value}"; set it with ${setCommand(whole)}`,
    ]);
  });

  it("have no window, holiday or freeze when none is given", () => {
    const settings = validSettings();
    for (const name of ["window", "holidays", "freezes"]) change(settings, `operations.${name}`, undefined);

    const { window, holidays, freezes } = parseSettings("test", settings).operations;
    expect({ window, holidays, freezes }).toEqual({
      window: undefined,
      holidays: { extra: [] },
      freezes: [],
    });
  });

  it("fails when a window has no day", () => {
    expect(problems((settings) => change(settings, "operations.window.days", []))).toEqual([
      "technicia:operations.window.days: expected at least one day, such as tuesday, got an empty list; edit it in Pulumi.test.yaml",
    ]);
  });
});

describe("server", () => {
  it.each([
    ["Ubuntu 22.04", "ubuntu"],
    ["Ubuntu 24.04", "ubuntu"],
    ["Ubuntu 26.04", "ubuntu"],
    ["Debian 11", "debian"],
    ["Debian 12", "debian"],
    ["Debian 13", "debian"],
  ])("of the image %s is logged in to as %s", (image, user) => {
    const settings = validSettings();
    change(settings, "server.image", image);
    change(settings, "server.loginUser", undefined);

    expect(parseSettings("test", settings).server.loginUser).toBe(user);
  });

  it("is logged in to as the settings say, whatever its image", () => {
    const settings = validSettings();
    change(settings, "server.image", "Ubuntu 22.04");
    change(settings, "server.loginUser", "equipe");

    expect(parseSettings("test", settings).server.loginUser).toBe("equipe");
  });

  it.each(["Debian 12 - Docker", "Ubuntu 24.04 - Docker"])(
    "of the image %s has Docker from Docker's own repository",
    (image) => {
      const settings = validSettings();
      change(settings, "server.image", image);

      expect(problems((given) => change(given, "server.image", image))).toEqual([
        `technicia:host.dockerSource: expected "docker", because server.image is "${image}", which brings Docker's own packages, got "distribution"; set it with ${setCommand("host.dockerSource", "docker")}`,
      ]);
      change(settings, "host.dockerSource", "docker");
      expect(parseSettings("test", settings).server.image).toBe(image);
    },
  );
});

describe("images", () => {
  const names = Object.keys(validSettings()["images"] as object);

  it.each(names)("fails when %s is latest, bare or floating", (name) => {
    for (const reference of [
      "qdrant/qdrant:latest",
      "nginx",
      "nginx:1",
      "nginx:1.30",
      "qdrant/qdrant:v1.19",
    ]) {
      const path = `images.${name}`;
      expect(problems((settings) => change(settings, path, reference))[0]).toBe(
        `technicia:${path}: expected ${AN_IMAGE}, got "${reference}"; set it with ${setCommand(path)}`,
      );
    }
  });

  it.each([
    "nginx:stable",
    "nginx:alpine",
    "nginx:1.30-alpine",
    "nginx:mainline-alpine3.22",
    "postgres:17",
    "postgres:17-bookworm",
    "registry.example:5000/qdrant",
    "n8nio/n8n:next",
    "n8nio/n8n:",
    "n8nio/n8n:2.41.3 ",
    "N8N/n8n:2.41.3",
    `nginx@sha256:${"a".repeat(63)}`,
  ])("fails when an image is %j", (reference) => {
    expect(problems((settings) => change(settings, "images.gateway", reference))).toHaveLength(1);
  });

  it.each([
    "nginx:1.30.4-alpine",
    "postgres:17.9-bookworm",
    "registry.example:5000/team/qdrant:v1.19.0",
    `nginx@sha256:${"a".repeat(64)}`,
    `nginx:1.30@sha256:${"a".repeat(64)}`,
    "certbot/certbot:v5.8.0",
  ])("accepts %j", (reference) => {
    expect(problems((settings) => change(settings, "images.gateway", reference))).toEqual([]);
  });

  it("fails with more networks for ssh than OVH's edge firewall holds", () => {
    const networks = (count: number) => Array.from({ length: count }, (_, at) => `198.51.100.${at}/32`);

    expect(problems((settings) => change(settings, "ssh.adminCidrs.v4", networks(13)))).toEqual([]);
    expect(problems((settings) => change(settings, "ssh.adminCidrs.v4", networks(14)))).toEqual([
      "technicia:ssh.adminCidrs.v4: expected at most 13 ranges, because OVHcloud's edge firewall holds 20 rules, got 14; " +
        "merge neighbouring ranges, or let people in through a VPN with one address",
    ]);
    const moving = problems((settings) => {
      change(settings, "ssh.adminCidrs.v4", networks(7));
      change(settings, "ssh.nextPort", 2222);
    });
    expect(moving.join()).toContain(
      "expected at most 6 ranges, because OVHcloud's edge firewall holds 20 rules, two for each while ssh.nextPort is set, got 7",
    );
  });

  it("fails when the runners have another version than n8n", () => {
    expect(problems((settings) => change(settings, "images.n8nRunners", "n8nio/runners:2.41.2"))).toEqual([
      `technicia:images.n8nRunners: expected the version of images.n8n, "2.41.3", got "2.41.2"; set it with ${setCommand("images.n8nRunners")}`,
    ]);
  });

  it("accepts any version of the runners while they are off", () => {
    const found = problems((settings) => {
      change(settings, "images.n8nRunners", "n8nio/runners:2.41.2");
      change(settings, "services.n8nRunners.enabled", false);
    });

    expect(found).toEqual([]);
  });
});

describe("address ranges", () => {
  it.each([
    ["0.0.0.0/0", "an IPv4 range no wider than /8, because a wider one lets the whole internet try"],
    ["128.0.0.0/1", "an IPv4 range no wider than /8, because a wider one lets the whole internet try"],
    ["198.51.100.7", 'an IPv4 range with its length, for one address "198.51.100.7/32"'],
    ["198.51.100.7/24", 'the first address of the range, "198.51.100.0/24"'],
    ["198.51.100.0/33", "an IPv4 range with a length from 8 to 32"],
    ["198.51.100.0/", "an IPv4 range with a length from 8 to 32"],
    ["198.51.100/24", "an IPv4 range such as 198.51.100.7/32"],
    ["2001:db8::/32", "an IPv4 range such as 198.51.100.7/32"],
    ["home", "an IPv4 range such as 198.51.100.7/32"],
  ])("fails when ssh is opened to the IPv4 range %j", (range, expected) => {
    expect(problems((settings) => change(settings, "ssh.adminCidrs.v4", ["203.0.113.0/24", range]))).toEqual([
      `technicia:ssh.adminCidrs.v4[1]: expected ${expected}, got "${range}"; set it with ${setCommand("ssh.adminCidrs.v4[1]")}`,
    ]);
  });

  it.each([
    ["::/0", "an IPv6 range no wider than /16, because a wider one lets the whole internet try"],
    ["2001:db8::1", 'an IPv6 range with its length, for one address "2001:db8::1/128"'],
    ["::192.0.2.1/64", 'the first address of the range, "::/64"'],
    ["2001:db8:51::1/64", 'the first address of the range, "2001:db8:51::/64"'],
    ["fe80::1%eth0/128", "an IPv6 range such as 2001:db8:1::/48"],
    ["198.51.100.0/24", "an IPv6 range such as 2001:db8:1::/48"],
  ])("fails when ssh is opened to the IPv6 range %j", (range, expected) => {
    expect(problems((settings) => change(settings, "ssh.adminCidrs.v6", [range]))).toEqual([
      `technicia:ssh.adminCidrs.v6[0]: expected ${expected}, got "${range}"; set it with ${setCommand("ssh.adminCidrs.v6[0]")}`,
    ]);
  });

  it.each(["10.0.0.0/8", "203.0.113.10/32", "198.51.100.128/25"])("accepts the IPv4 range %s", (range) => {
    expect(problems((settings) => change(settings, "ssh.adminCidrs.v4", [range]))).toEqual([]);
  });

  it.each([
    "2001:db8::/32",
    "2001:db8:51::53/128",
    "::0.0.0.0/64",
    "::ffff:198.51.100.0/120",
    "2001:db8:0:8000::/49",
  ])("accepts the IPv6 range %s", (range) => {
    expect(problems((settings) => change(settings, "ssh.adminCidrs.v6", [range]))).toEqual([]);
  });

  it("fails when no IPv4 range may open ssh", () => {
    expect(problems((settings) => change(settings, "ssh.adminCidrs.v4", []))).toEqual([
      "technicia:ssh.adminCidrs.v4: expected at least one IPv4 range, because the deployment itself comes in by ssh over IPv4, " +
        "got an empty list; edit it in Pulumi.test.yaml",
    ]);
  });

  it("gives the command for the first range when the list is missing", () => {
    expect(problems((settings) => change(settings, "ssh.adminCidrs", undefined))).toEqual([
      `technicia:ssh.adminCidrs.v4: expected a list, got nothing; set its first with ${setCommand("ssh.adminCidrs.v4[0]")}`,
    ]);
  });

  it("open ssh to no IPv6 range when none is given", () => {
    const settings = validSettings();
    change(settings, "ssh.adminCidrs.v6", undefined);

    expect(parseSettings("test", settings).ssh.adminCidrs.v6).toEqual([]);
  });

  it.each([
    [
      "2001:db8:51::/64",
      "an IPv4 range, because visitors come over IPv4 only: Docker would give all others one address",
    ],
    ...["172.16.0.0/12", "172.31.0.0/24", "172.30.1.1/32"].map((range) => [
      range,
      "a range without 172.30.0.0/15, which are the addresses of the server's own containers",
    ]),
  ])("fail when n8n's editor is open to %s, which says nothing about a visitor", (range, expected) => {
    expect(problems((settings) => change(settings, "services.gateway.editorCidrs", [range]))).toEqual([
      `technicia:services.gateway.editorCidrs[0]: expected ${expected}, got "${range}"; set it with ${setCommand("services.gateway.editorCidrs[0]")}`,
    ]);
  });

  it("fails when n8n's editor is open to the whole internet", () => {
    expect(problems((settings) => change(settings, "services.gateway.editorCidrs", ["0.0.0.0/0"]))).toEqual([
      "technicia:services.gateway.editorCidrs[0]: expected an address range no wider than /8, because a wider one lets the whole internet try, " +
        `got "0.0.0.0/0"; set it with ${setCommand("services.gateway.editorCidrs[0]")}`,
    ]);
  });
});

describe("names", () => {
  it("fails when the editor's name would be longer than a name may be", () => {
    const domain = `${["a", "b", "c"].map((letter) => letter.repeat(63)).join(".")}.${"d".repeat(48)}.exemple.fr`;
    const named = (cidrs: readonly string[]) =>
      problems((settings) => {
        change(settings, "domain", domain);
        change(settings, "services.gateway.editorCidrs", cidrs);
      });

    expect(named([])).toEqual([]);
    expect(named(["198.51.100.0/24"])).toEqual([
      'technicia:domain: expected at most 249 characters, because services.gateway.editorCidrs publishes "n8n." in front of it, got 251; shorten it, or empty that list',
    ]);
  });

  it("fails when the domain is not in the zone", () => {
    for (const domain of ["technicia.autre.fr", "notexemple.fr"]) {
      expect(problems((settings) => change(settings, "domain", domain))).toEqual([
        `technicia:domain: expected a name in the zone "exemple.fr" (dns.zone), got "${domain}"; change one of the two`,
      ]);
    }
  });

  it("accepts the zone's own name", () => {
    expect(problems((settings) => change(settings, "domain", "exemple.fr"))).toEqual([]);
  });

  it("fails when Cloudflare's zone id is missing, also beside another problem of the section", () => {
    const found = problems((settings) => {
      change(settings, "dns.zoneId", undefined);
      change(settings, "dns.zone", "");
    });

    expect(found).toContain(
      'technicia:dns.zoneId: expected Cloudflare\'s id of the zone, because dns.provider is "cloudflare", got nothing; ' +
        `set it with ${setCommand("dns.zoneId")}`,
    );
  });

  it("fails when settings of Cloudflare are given for OVH's DNS", () => {
    const found = problems((settings) => {
      change(settings, "dns.provider", "ovh");
      change(settings, "dns.cloudflareBaseUrl", "http://127.0.0.1:8081/client/v4");
    });

    expect(found).toEqual([
      'technicia:dns.zoneId: expected nothing, because dns.provider is "ovh", got a value; ' +
        "remove it with pulumi config rm --path technicia:dns.zoneId --stack test",
      'technicia:dns.cloudflareBaseUrl: expected nothing, because dns.provider is "ovh", got a value; ' +
        "remove it with pulumi config rm --path technicia:dns.cloudflareBaseUrl --stack test",
    ]);
  });

  it("needs no zone id at OVH", () => {
    const settings = validSettings();
    change(settings, "dns.provider", "ovh");
    change(settings, "dns.zoneId", "");

    expect(parseSettings("test", settings).dns).toMatchObject({ provider: "ovh", zoneId: "" });
  });
});

describe("acme", () => {
  const staging = "https://acme-staging-v02.api.letsencrypt.org/directory";

  it("knows which of Let's Encrypt's authorities browsers trust", () => {
    const settings = validSettings();
    change(settings, "acme.directory", staging);

    expect(parseSettings("test", settings).acme.trusted).toBe(false);
    expect(environmentWith().acme.trusted).toBe(true);
  });

  it("fails when the staging authority is said to be trusted", () => {
    expect(
      problems((settings) => change(settings, "acme", { directory: staging, keyType: "rsa", trusted: true })),
    ).toEqual([
      "technicia:acme.trusted: expected false for this authority of Let's Encrypt, got true; " +
        "remove it with pulumi config rm --path technicia:acme.trusted --stack test",
    ]);
  });

  it("fails when nothing says whether another authority is trusted", () => {
    const other = { directory: "https://acme.example:14000/dir", keyType: "ecdsa" };

    expect(problems((settings) => change(settings, "acme", other))).toEqual([
      "technicia:acme.trusted: expected true or false, because acme.directory is none that is known, got nothing; " +
        `set it with ${setCommand("acme.trusted", "false")}`,
    ]);
    expect(problems((settings) => change(settings, "acme", { ...other, trusted: "false" }))).toEqual([]);
  });

  it("fails when the CAA records would keep Let's Encrypt from issuing", () => {
    expect(problems((settings) => change(settings, "dns.caaIssuers", ["sectigo.com"]))).toEqual([
      `technicia:dns.caaIssuers: expected "letsencrypt.org" among them, because acme.directory is Let's Encrypt's, got sectigo.com; ` +
        `add it with ${setCommand("dns.caaIssuers[1]", "letsencrypt.org")}`,
    ]);
  });
});

describe("services", () => {
  it("fails when the memory limits exceed the server, and says by how much", () => {
    expect(problems((settings) => change(settings, "services.qdrant.memoryMib", 5000))).toEqual([
      "technicia:services: expected memory limits of at most 7578 MiB in all (server.memoryGib 8 less 614 MiB for the system), " +
        "got 8744 MiB (qdrant 5000, vectorStore 384, n8n 1280, n8nRunners 384, gateway 96, documentProcessor 384, visionClassifier 384, frontend 384, " +
        "metrics 128, logs 128, metricRules 48, logRules 48, alerts 64, probes 32); " +
        "lower them by 1166 MiB or raise server.memoryGib",
    ]);
  });

  it("counts the limits only of services that are on", () => {
    const full = (settings: Settings) => change(settings, "services.qdrant.memoryMib", 3834);

    expect(problems(full)).toEqual([]);
    expect(
      problems((settings) => {
        full(settings);
        change(settings, "services.n8n.database", "postgres");
      })[0],
    ).toMatch(/got 7962 MiB .*postgres 384.* lower them by 384 MiB/);
    expect(
      problems((settings) => {
        full(settings);
        change(settings, "services.n8n.database", "postgres");
        change(settings, "services.frontend.enabled", false);
      }),
    ).toEqual([]);
  });

  it("fails when a service may use more cores than the server has", () => {
    expect(problems((settings) => change(settings, "services.n8n.cpus", 5))).toEqual([
      "technicia:services.n8n.cpus: expected at most the server's cores (server.vcores 4), got 5; " +
        `set it with ${setCommand("services.n8n.cpus")}`,
    ]);
  });

  it.each(["project", "location", "processorId"])(
    "fails when the document processor is on without %s",
    (key) => {
      const path = `services.documentProcessor.${key}`;

      expect(problems((settings) => change(settings, path, undefined))).toEqual([
        `technicia:${path}: expected a value, because services.documentProcessor.enabled is true, got nothing; set it with ${setCommand(path)}`,
      ]);
    },
  );

  it("requires no setting of Google while the document processor is off", () => {
    const settings = validSettings();
    change(settings, "services.documentProcessor", { enabled: false, memoryMib: 384, cpus: 1 });

    expect(parseSettings("test", settings).services.documentProcessor).toMatchObject({
      project: "",
      location: "",
    });
  });
});

describe("timeouts", () => {
  it("fails when the observation is longer than the convergence", () => {
    expect(problems((settings) => change(settings, "timeouts.observationSeconds", 300))).toEqual([
      "technicia:timeouts.convergenceSeconds: expected at least 330 (timeouts.observationSeconds and 30 for the start), got 300; " +
        `set it with ${setCommand("timeouts.convergenceSeconds", "330")}`,
    ]);
  });
});

describe("settingsIn", () => {
  it("reads the project's settings, parses structures and skips secrets", () => {
    expect(
      settingsIn({
        "technicia:domain": "technicia.exemple.fr",
        "technicia:locale": '{"language":"fr"}',
        "technicia:voyageApiKey": "canary",
        "pulumi:tags": "{}",
      }),
    ).toEqual({ domain: "technicia.exemple.fr", locale: { language: "fr" } });
  });

  it("keeps a broken structure as text, which the schema refuses", () => {
    expect(settingsIn({ "technicia:locale": "{language: fr" })).toEqual({ locale: "{language: fr" });
  });
});

describe("readConfiguration", () => {
  afterEach(() => pulumi.runtime.setAllConfig({}));

  it("reads the engine's configuration, where every value is text", async () => {
    await pulumi.runtime.setMocks(
      { call: () => ({}), newResource: ({ name }) => ({ id: name, state: {} }) },
      "technicia",
      "test",
    );
    const settings = Object.entries(validSettings()).map(([key, value]): [string, string] => [
      `technicia:${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
    pulumi.runtime.setAllConfig(Object.fromEntries([...settings, ["technicia:n8nJwtSecret", "canary"]]));

    expect(readConfiguration()).toEqual(environmentWith());
  });
});
