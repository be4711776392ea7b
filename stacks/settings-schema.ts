/**
 * What `Pulumi.<stack>.yaml` may hold: one schema per top-level `technicia:` key.
 *
 * An error text is only "expected …": `settings.ts` adds the path, the value and the command. What spans
 * several keys is in `settings-rules.ts`.
 */
import { z } from "zod";
import { rangeProblem, type Family } from "./address-range.ts";
import { weekdays } from "./environment.ts";
import { isExact } from "./image-reference.ts";
import { isPublicKey } from "./public-key.ts";

const HOST_NAME = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/;

/** Countries whose OVHcloud catalogue is in euros, the currency of `maxMonthlyPriceEur`. */
const EURO_SUBSIDIARIES = ["DE", "ES", "FI", "FR", "IE", "IT", "LT", "NL", "PT"] as const;

// `pulumi config set` stores every value at the top level, and every decimal one, as text.
const fromText = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  if (/^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (value === "true" || value === "false") return value === "true";
  return value;
};

function text(expected: string, isRight: (value: string) => boolean) {
  return z.string({ error: expected }).refine(isRight, { error: expected });
}

function number(expected: string, isRight: (value: number) => boolean) {
  return z.preprocess(fromText, z.number({ error: expected }).refine(isRight, { error: expected }));
}

function whole(what: string, least: number, most: number) {
  return number(
    `expected a whole number of ${what} from ${least} to ${most}, without a unit`,
    (value) => Number.isInteger(value) && value >= least && value <= most,
  );
}

function choice<const T extends readonly string[]>(options: T) {
  const quoted = options.map((option) => `"${option}"`);
  return z.enum(options, { error: `expected ${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}` });
}

const flag = () => z.preprocess(fromText, z.boolean({ error: "expected true or false" }));

/** A map of settings; left out, it is read as empty, so that each setting missing in it is named. */
function map<T extends z.ZodRawShape>(shape: T) {
  return z.preprocess((value) => value ?? {}, optionalMap(shape));
}

function optionalMap<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? undefined : "expected a map of settings"),
  });
}

const hostName = (example: string) =>
  text(`expected a host name without scheme or port, such as ${example}`, (value) => HOST_NAME.test(value));

const apiAddress = text(
  "expected the address of an API (https://…) without a slash at the end",
  isApiAddress,
);

function range(family?: Family) {
  const empty = family ? `expected an IP${family} range` : "expected an address range";
  return z.string({ error: empty }).superRefine((value, context) => {
    const problem = rangeProblem(value, family);
    if (problem) context.addIssue({ code: "custom", message: problem, input: value });
  });
}

const list = <T extends z.ZodType>(item: T) => z.array(item, { error: "expected a list" });

const publicKey = text(
  "expected an OpenSSH public key on one line, such as ssh-ed25519 AAAA… name",
  isPublicKey,
);

const image = text(
  "expected an image with an exact version or a digest, such as qdrant/qdrant:v1.19.0-unprivileged",
  isExact,
);

const limits = {
  memoryMib: whole("MiB", 16, 65_536),
  cpus: number("expected a number of cores of at least 0.05, such as 0.5", (cores) => cores >= 0.05),
};

const personName = text(
  "expected a name of at most 32 characters",
  (name) => name.trim() !== "" && name.length <= 32,
);

const linuxUser = text("expected a Linux user name, such as debian", (name) =>
  /^[a-z_][a-z0-9_-]{0,31}$/.test(name),
);

const timeOfDay = text('expected a time of day in UTC, such as "09:00"', (time) =>
  /^([01]\d|2[0-3]):[0-5]\d$/.test(time),
);

const day = text(
  'expected a day in quotes, such as "2026-12-24"',
  (date) => z.iso.date().safeParse(date).success,
);

/** Two values of a map of which the second must not come before the first; both compare as text. */
function inOrder(keys: { readonly first: string; readonly second: string; readonly orEqual: boolean }) {
  return (map: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx) => {
    const [first, second] = [String(map[keys.first]), String(map[keys.second])];
    if (first < second || (keys.orEqual && first === second)) return;
    const message = `expected ${keys.orEqual ? "not before" : "later than"} ${keys.first}, "${first}"`;
    context.addIssue({ code: "custom", message, path: [keys.second], input: second });
  };
}

export const sections = {
  domain: hostName("technicia.exemple.fr"),
  adminEmail: z.email({ error: "expected an e-mail address" }),
  locale: map({
    language: text("expected a language code, such as fr", (code) => /^[a-z]{2,3}(-[A-Z]{2})?$/.test(code)),
    timeZone: text("expected a time zone of the IANA list, such as Europe/Paris", isTimeZone),
  }),
  server: map({
    serviceName: text(
      "expected the name OVHcloud gave the server, such as vps-1a2b3c4d.vps.ovh.net",
      (name) => /^vps[0-9a-z-]*\.(?:[a-z0-9-]+\.)*ovh\.[a-z]+$/.test(name),
    ).optional(),
    order: optionalMap({
      subsidiary: choice(EURO_SUBSIDIARIES),
      maxMonthlyPriceEur: number("expected a number above 0", (price) => price > 0),
    }).optional(),
    vcores: whole("cores", 1, 64),
    memoryGib: whole("GiB", 1, 512),
    datacentre: text(
      "expected a datacentre code of the VPS range, such as GRA (GRA11 is a Public Cloud region)",
      (code) => /^[A-Z]{2,4}(-[A-Z]+)*$/.test(code),
    ),
    image: text("expected a Debian or Ubuntu release as OVHcloud names it, such as Debian 12", (label) =>
      /^(Debian \d{2}|Ubuntu \d{2}\.\d{2})$/.test(label),
    ),
    loginUser: linuxUser,
    deleteAtExpiry: flag(),
  }),
  ssh: map({
    port: number(
      "expected a port from 1 to 65535",
      (port) => Number.isInteger(port) && port >= 1 && port <= 65_535,
    ),
    privateKeyFile: text("expected the path of a private key from / or ~/", (path) =>
      /^(~\/|\/)./.test(path),
    ),
    publicKey,
    adminCidrs: map({
      v4: list(range("v4")).min(1, {
        error: "expected at least one IPv4 range, because the deployment itself comes in by ssh over IPv4",
      }),
      v6: list(range("v6")).default([]),
    }),
    admins: list(
      optionalMap({
        name: linuxUser,
        keys: list(publicKey).min(1, { error: "expected at least one public key" }),
      }),
    ).default([]),
  }),
  ovh: map({
    endpoint: text(
      "expected ovh-eu, or the address of an API (https://…) without a slash at the end",
      (endpoint) => endpoint === "ovh-eu" || isApiAddress(endpoint),
    ),
  }),
  dns: map({
    provider: choice(["cloudflare", "ovh"]),
    zone: hostName("exemple.fr"),
    zoneId: text("expected Cloudflare's id of the zone, 32 hexadecimal digits", (id) =>
      /^[0-9a-f]{32}$/.test(id),
    ).optional(),
    cloudflareBaseUrl: apiAddress.optional(),
    ttlSeconds: whole("seconds", 60, 86_400),
    caaIssuers: list(hostName("letsencrypt.org")).min(1, {
      error: "expected at least one certificate authority",
    }),
  }),
  host: map({
    dockerSource: choice(["distribution", "docker"]),
    swapGib: whole("GiB", 0, 64),
  }),
  acme: map({
    directory: text("expected the address of an ACME directory (https://…)", (address) =>
      /^https:\/\/[^\s/]+\/\S+$/.test(address),
    ),
    keyType: choice(["ecdsa", "rsa"]),
    trusted: flag().optional(),
  }),
  images: map({
    qdrant: image,
    vectorStore: image,
    n8n: image,
    n8nRunners: image,
    gateway: image,
    certbot: image,
    postgres: image,
    documentProcessor: image,
    visionClassifier: image,
    frontend: image,
  }),
  services: map({
    qdrant: map({ ...limits, apiKey: flag() }),
    vectorStore: map(limits),
    n8n: map({
      ...limits,
      database: choice(["sqlite", "postgres"]),
      owner: map({ firstName: personName, lastName: personName }),
    }),
    n8nRunners: map({ ...limits, enabled: flag() }),
    postgres: map(limits),
    gateway: map({ ...limits, editorCidrs: list(range()).default([]) }),
    documentProcessor: map({
      ...limits,
      enabled: flag(),
      project: text(
        "expected the id of a Google Cloud project, such as technicia-prod-1234",
        isGoogleProject,
      ).optional(),
      location: choice(["eu", "us"]).optional(),
      processorId: text("expected the id of a Document AI processor, 8 to 20 hexadecimal digits", (id) =>
        /^[0-9a-f]{8,20}$/.test(id),
      ).optional(),
    }),
    visionClassifier: map({ ...limits, enabled: flag() }),
    frontend: map({ ...limits, enabled: flag() }),
  }),
  uploadMaxMib: whole("MiB", 1, 2048),
  timeouts: map({
    uploadSeconds: whole("seconds", 30, 7200),
    answerSeconds: whole("seconds", 30, 3600),
    convergenceSeconds: whole("seconds", 30, 3600),
    observationSeconds: whole("seconds", 5, 3600),
  }),
  protectData: flag(),
  operations: map({
    window: optionalMap({
      days: list(choice(weekdays)).min(1, { error: "expected at least one day, such as tuesday" }),
      fromUtc: timeOfDay,
      toUtc: timeOfDay,
    })
      .superRefine(inOrder({ first: "fromUtc", second: "toUtc", orEqual: false }))
      .optional(),
    holidays: map({
      country: z.enum(["FR"], { error: 'expected "FR"' }).optional(),
      extra: list(day).default([]),
    }),
    freezes: list(
      optionalMap({
        from: day,
        to: day,
        reason: text("expected why, in a few words", (reason) => reason.trim() !== ""),
      }).superRefine(inOrder({ first: "from", second: "to", orEqual: true })),
    ).default([]),
    dnsSettledHours: whole("hours", 0, 720),
    thresholds: map({
      errorRatio: number("expected a share from 0 to 1, such as 0.01", (ratio) => ratio >= 0 && ratio <= 1),
      p50Ms: whole("milliseconds", 1, 600_000),
      p95Ms: whole("milliseconds", 1, 600_000),
      p99Ms: whole("milliseconds", 1, 600_000),
      requestsPerSecond: whole("requests a second", 1, 100_000),
      loadSeconds: whole("seconds", 1, 600),
      certificateDays: whole("days", 1, 365),
      diskFreePercent: whole("percent", 1, 99),
      memoryUsedPercent: whole("percent", 1, 99),
      rollbackSeconds: whole("seconds", 1, 3600),
    }),
  }),
} as const;

export type SectionName = keyof typeof sections;
export type Sections = { readonly [Name in SectionName]: z.output<(typeof sections)[Name]> };

function isApiAddress(address: string): boolean {
  const protocol = URL.parse(address)?.protocol;
  return (protocol === "https:" || protocol === "http:") && !address.endsWith("/");
}

function isTimeZone(zone: string): boolean {
  return zone === "UTC" || Intl.supportedValuesOf("timeZone").includes(zone);
}

// The project ids of templates are valid ids too.
function isGoogleProject(id: string): boolean {
  return /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(id) && !/^(your|votre|my|mon)-/.test(id);
}
