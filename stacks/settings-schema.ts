/**
 * What `Pulumi.<stack>.yaml` may hold: one schema per top-level `technicia:` key. The type `Environment`, the declarations in `Pulumi.yaml`
 * and `docs/settings.md` follow from it (`npm run settings` writes the last two).
 *
 * Rules between several keys are in `settings-rules.ts`. `affects` in `.meta` names what a change of the setting changes; a map passes its own on to the settings in it.
 */
import { z } from "zod";

import { builtServices, OPENABLE_PATHS, type OpenablePath } from "../common/services.ts";
import { backup } from "./backup-schema.ts";
import { documents } from "./documents-schema.ts";
import { hold } from "./hold-schema.ts";
import { monitoring, monitoringLimits } from "./monitoring-schema.ts";
import { operations } from "./operations-schema.ts";
import { policy } from "./policy-schema.ts";
import {
  datacentre,
  diskGib,
  memoryGib,
  osImage,
  serverName,
  serverOrder,
  servers,
  vcores,
  wireguard,
} from "./servers-schema.ts";
import {
  apiAddress,
  choice,
  emailAddress,
  enabled,
  EXAMPLE_KEY,
  flag,
  googleProject,
  hostName,
  image,
  integer,
  isApiAddress,
  isFolderInRepository,
  isRepository,
  isServiceAddress,
  limits,
  linuxUser,
  list,
  map,
  operatorKey,
  optionalMap,
  personName,
  publicKey,
  range,
  registryAddress,
  text,
  timeZone,
  visitorRange,
  whole,
} from "./setting-types.ts";
import { workflows } from "./workflows-schema.ts";

const source = optionalMap({
  repository: text(
    "expected the address of a git repository (https://…, ssh://…, git@…:…, or file:///… on this machine), without a password in it",
    isRepository,
  ).meta({ description: "Git repository.", example: "https://github.com/exemple/technicia.git" }),
  commit: text(
    "expected the full hash of a commit, 40 hexadecimal digits, because a branch or tag may move",
    /^[0-9a-f]{40}$/,
  ).meta({ description: "Commit that is built.", example: "0123456789abcdef0123456789abcdef01234567" }),
  folder: text(
    "expected a folder in the repository, such as services/vector-store",
    isFolderInRepository,
  ).meta({
    description: "Folder with the Dockerfile; only what is in it gets into the build.",
    example: "services/vector-store",
  }),
}).meta({
  description: "Repository, commit and folder of this service.",
  example: {
    repository: "https://github.com/exemple/technicia.git",
    commit: "0123456789abcdef0123456789abcdef01234567",
    folder: "services/vector-store",
  },
});

/** An image that environments have without naming it. */
const monitoringImage = (name: string) => image(name).prefault(name);

export const sections = {
  domain: hostName("technicia.exemple.fr").meta({
    description: "Host name under which TechnicIA answers.",
    example: "technicia.exemple.fr",
    affects: "DNS, certificate, gateway, n8n",
  }),
  adminEmail: emailAddress.meta({
    description: "E-mail address of the operator; the certificate authority's contact and n8n's owner.",
    example: "admin@exemple.fr",
    affects: "certificate, n8n",
  }),
  locale: map({
    language: text("expected a language code, such as fr", /^[a-z]{2,3}(-[A-Z]{2})?$/).meta({
      description: "Language of the users. Nothing reads it yet.",
      example: "fr",
      affects: "nothing",
    }),
    timeZone: timeZone.meta({
      description: "Time zone of the server's clock and of n8n's schedules.",
      example: "Europe/Paris",
      affects: "server, n8n",
    }),
  }).meta({ description: "Language and time zone." }),
  server: map({
    serviceName: serverName
      .meta({
        description: "Name of a server that you have. Give either this or `server.order`.",
        example: "vps-1a2b3c4d.vps.ovh.net",
      })
      .optional(),
    order: serverOrder,
    vcores: vcores.meta({
      description: "Fewest cores of a server that is accepted, adopted or ordered.",
      example: 4,
    }),
    memoryGib: memoryGib.meta({
      description: "Least memory of a server that is accepted, in GiB; the services' limits must fit in it.",
      example: 8,
    }),
    diskGib: diskGib.prefault(40).meta({
      description:
        "Disk of the server's plan, in GiB, of which the monitoring may keep half; left out, that of the smallest plan. Preflight looks at the server's own.",
      example: 75,
      affects: "monitoring",
    }),
    datacentre: datacentre.meta({ description: "OVHcloud's code of the datacentre.", example: "GRA" }),
    image: osImage.meta({
      description:
        "Operating system, installed once; a later change is refused because it would wipe the disk. One with ` - Docker` at its end needs `host.dockerSource: docker`.",
      example: "Ubuntu 22.04",
    }),
    loginUser: linuxUser
      .meta({
        description:
          "User that the image creates, who gets `ssh.publicKey`; left out, it follows from `image`.",
        example: "ubuntu",
        affects: "server, ssh",
      })
      .optional(),
    ipv6: flag()
      .meta({
        description:
          "Whether the IPv6 address that OVHcloud assigned is configured where the image did not; left out, it is. Visitors come over IPv4 either way.",
        example: false,
        affects: "server",
      })
      .optional(),
    files: list(text("expected an absolute path, a folder's with a slash at its end", /^(\/[^/\n]+)+\/?$/))
      .default([])
      .meta({
        description:
          "Files of the system that your team keeps on the server itself, so that nothing compares them; a name that ends in a slash is everything below it.",
        example: ["/etc/profile.d/equipe.sh"],
      }),
    deleteAtExpiry: flag().meta({
      description:
        "Whether `pulumi destroy` ends the contract at its expiry; otherwise it leaves the server alone.",
      example: false,
    }),
  }).meta({ description: "The VPS: one that you have, or one to order.", affects: "server" }),
  servers,
  wireguard,
  ssh: map({
    port: integer("expected a port from 1 to 65535", { least: 1, most: 65_535 }).meta({
      description: "Port of sshd. To move it, set `nextPort` first.",
      example: 22,
      affects: "ssh, edge firewall, host firewall",
    }),
    nextPort: integer("expected a port from 1 to 65535", { least: 1, most: 65_535 })
      .meta({
        description:
          "Port that sshd is to move to. While it is set, sshd and both firewalls have both ports; after a deployment make it the `port` and remove this.",
        example: 2222,
        affects: "ssh, edge firewall, host firewall",
      })
      .optional(),
    privateKeyFile: text("expected the path of a private key from / or ~/", /^(~\/|\/)./).meta({
      description: "Private key of the operator; `~` is the operator's home. It is read, never copied.",
      example: "~/.ssh/id_ed25519",
      affects: "commands",
    }),
    publicKey: operatorKey.meta({
      description: "Public half of that key, installed with the operating system.",
      example: EXAMPLE_KEY,
      affects: "server, ssh",
    }),
    otherPublicKey: operatorKey
      .meta({
        description:
          "Another key that the login user accepts, while the operator changes from one to the other; `npm run secrets -- <stack> rotate ssh` sets and removes it.",
        example: EXAMPLE_KEY,
        affects: "ssh",
      })
      .optional(),
    adminCidrs: map({
      v4: list(range("v4"))
        .min(1, {
          error: "expected at least one IPv4 range, because the deployment itself comes in by ssh over IPv4",
        })
        .meta({
          description: "IPv4 ranges that may open ssh; yours must be among them.",
          example: ["198.51.100.7/32"],
          affects: "edge firewall, host firewall",
        }),
      v6: list(range("v6"))
        .default([])
        .meta({
          description: "IPv6 ranges that may open ssh; an empty list closes ssh over IPv6.",
          example: ["2001:db8:1::/48"],
          affects: "host firewall",
        }),
    }),
    addressService: text(
      "expected the address of a service (https://…), or none",
      (address) => address === "none" || isServiceAddress(address),
    )
      .default("https://1.1.1.1/cdn-cgi/trace")
      .meta({
        description:
          "Service that tells callers their own address, asked before the first deployment to compare it with `adminCidrs`; `none` asks nobody. Later the server itself is asked.",
        example: "https://1.1.1.1/cdn-cgi/trace",
        affects: "edge firewall",
      }),
    hostKey: text(
      "expected the fingerprint of a host key as OpenSSH prints it, SHA256:…",
      /^SHA256:[A-Za-z0-9+/]{43}$/,
    )
      .meta({
        description:
          "Fingerprint that the server's host key must have at the first contact; left out, the first key is shown and trusted.",
        example: "SHA256:AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdE",
        affects: "server",
      })
      .optional(),
    admins: list(
      optionalMap({
        name: linuxUser.meta({ description: "User name.", example: "alice" }),
        keys: list(publicKey)
          .min(1, { error: "expected at least one public key" })
          .meta({ description: "Public keys of this person.", example: [EXAMPLE_KEY] }),
      }),
    )
      .default([])
      .meta({
        description: "People besides the login user who have a shell.",
        example: [{ name: "alice", keys: [EXAMPLE_KEY] }],
      }),
  }).meta({ description: "How operators reach the server.", affects: "ssh, host firewall" }),
  ovh: map({
    endpoint: text(
      "expected ovh-eu, or the address of an API (https://…) without a slash at the end",
      (endpoint) => endpoint === "ovh-eu" || isApiAddress(endpoint),
    ).meta({ description: "OVHcloud's API; `ovh-eu` is the European one.", example: "ovh-eu" }),
  }).meta({ description: "OVHcloud's API.", affects: "server, edge firewall, DNS at OVHcloud" }),
  dns: map({
    provider: choice(["cloudflare", "ovh"]).meta({
      description: "Who keeps the zone.",
      example: "cloudflare",
    }),
    zone: hostName("exemple.fr").meta({ description: "Zone that holds `domain`.", example: "exemple.fr" }),
    zoneId: text("expected Cloudflare's id of the zone, 32 hexadecimal digits", /^[0-9a-f]{32}$/)
      .default("")
      .meta({
        description: "Cloudflare's id of the zone; required for `cloudflare`, refused for `ovh`.",
        example: "0123456789abcdef0123456789abcdef",
      }),
    cloudflareBaseUrl: apiAddress.default("").meta({
      description: "Address of Cloudflare's API; left out, it is the public one.",
      example: "https://api.cloudflare.com/client/v4",
    }),
    ttlSeconds: whole("seconds", { least: 60, most: 86_400 }).meta({
      description: "How long resolvers keep an answer, in seconds.",
      example: 3600,
    }),
    caaIssuers: list(hostName("letsencrypt.org"))
      .min(1, { error: "expected at least one certificate authority" })
      .meta({
        description: "Certificate authorities that may issue certificates for the domain.",
        example: ["letsencrypt.org"],
        affects: "DNS, certificate",
      }),
  }).meta({ description: "Where the names are kept.", affects: "DNS" }),
  host: map({
    dockerSource: choice(["distribution", "docker"]).meta({
      description: "Where Docker comes from: the distribution's packages, or Docker's own repository.",
      example: "distribution",
    }),
    swapGib: whole("GiB", { least: 0, most: 64 }).meta({
      description: "Size of the swap file, in GiB; 0 makes none.",
      example: 4,
    }),
  }).meta({ description: "What is installed on the server.", affects: "server" }),
  acme: map({
    directory: text("expected the address of an ACME directory (https://…)", /^https:\/\/[^\s/]+\/\S+$/).meta(
      {
        description: "Directory of the certificate authority.",
        example: "https://acme-v02.api.letsencrypt.org/directory",
      },
    ),
    keyType: choice(["ecdsa", "rsa"]).meta({
      description: "Kind of the certificate's key.",
      example: "ecdsa",
    }),
    trusted: flag()
      .meta({
        description:
          "Whether browsers trust the authority; HSTS is sent only then. Known for Let's Encrypt, required for another authority.",
        example: false,
        affects: "gateway",
      })
      .optional(),
  }).meta({ description: "The certificate authority.", affects: "certificate" }),
  images: map({
    qdrant: image("qdrant/qdrant:v1.19.0-unprivileged"),
    vectorStore: image("technicia/vector-store:1.0.0"),
    n8n: image("n8nio/n8n:2.41.3"),
    n8nRunners: image("n8nio/runners:2.41.3"),
    gateway: image("nginx:1.30.4-alpine"),
    certbot: image("certbot/certbot:v5.8.0").meta({ affects: "certificate" }),
    restic: image("restic/restic:0.19.1").prefault("restic/restic:0.19.1").meta({ affects: "backup" }),
    postgres: image("postgres:17.9-bookworm"),
    documentProcessor: image("technicia/document-processor:1.0.0"),
    visionClassifier: image("technicia/vision-classifier:1.0.0"),
    frontend: image("technicia/frontend:1.0.0"),
    metrics: monitoringImage("victoriametrics/victoria-metrics:v1.151.0"),
    logs: monitoringImage("victoriametrics/victoria-logs:v1.52.1"),
    rules: monitoringImage("victoriametrics/vmalert:v1.151.0").meta({ affects: "metric-rules, log-rules" }),
    alerts: monitoringImage("prom/alertmanager:v0.28.1"),
    probes: monitoringImage("prom/blackbox-exporter:v0.26.0"),
    registry: registryAddress.default("").meta({
      description:
        "Where `npm run images -- build` pushes the images of TechnicIA's own services: a registry, and a folder in it.",
      example: "registry.exemple.fr/technicia",
      affects: "npm run images -- build",
    }),
    registryUser: text("expected the name of an account, without spaces", /^[^\s:]{1,128}$/)
      .default("")
      .meta({
        description:
          "Account at `images.registry`, whose password is the secret `registryPassword`; left out, everybody may pull there.",
        example: "technicia",
        affects: "server, commands",
      }),
    sources: map(
      Object.fromEntries(builtServices.map((service) => [service, source.optional()])) as Record<
        (typeof builtServices)[number],
        z.ZodOptional<typeof source>
      >,
    ).meta({
      description: "What each image is built from.",
      affects: "npm run images -- build",
    }),
  }).meta({ description: "Image of every service, each with an exact version or a digest." }),
  services: map({
    qdrant: map({
      ...limits(2048, 2),
      apiKey: flag().prefault(true).meta({
        description:
          "Whether Qdrant demands the secret `qdrantApiKey`; every caller must then send it. The vector-store gets it as `QDRANT_API_KEY`.",
        example: false,
        affects: "qdrant, vector-store",
      }),
      otherCollections: list(text("expected the name of a collection", /^[^/\s]+$/))
        .default([])
        .meta({
          description:
            "Collections that workflows make in Qdrant themselves, so that a check for drift does not report them.",
          example: ["notes"],
          affects: "nothing",
        }),
    }),
    vectorStore: map(limits(384, 1)),
    n8n: map({
      ...limits(1280, 2),
      database: choice(["sqlite", "postgres"]).meta({
        description:
          "Where n8n keeps its data; `postgres` runs the service `postgres`. From `sqlite` to `postgres` the data moves by itself, never back.",
        example: "sqlite",
        affects: "n8n, postgres",
      }),
      startEmpty: flag().prefault(false).meta({
        description:
          "Whether n8n starts on another `database` than before without its owner, workflows and credentials.",
        example: false,
        affects: "n8n, preflight",
      }),
      owner: map({
        firstName: personName.meta({ description: "First name of n8n's owner.", example: "Ada" }),
        lastName: personName.meta({ description: "Last name of n8n's owner.", example: "Lovelace" }),
      }),
    }),
    n8nRunners: map({ ...limits(512, 1), enabled: enabled() }),
    postgres: map(limits(512, 1)),
    gateway: map({
      ...limits(256, 0.5),
      editorCidrs: list(visitorRange())
        .default([])
        .meta({
          description:
            "IPv4 ranges that may open n8n's editor at `https://n8n.<domain>`; an empty list leaves only the ssh tunnel.",
          example: ["198.51.100.0/24"],
          affects: "gateway, DNS, certificate, n8n",
        }),
      openPaths: list(choice(Object.keys(OPENABLE_PATHS) as OpenablePath[]))
        .default([])
        .meta({
          description:
            "n8n's public paths besides its webhooks: `forms` is `/form/` and `/form-waiting/`, `waiting` the links of waiting workflows (`/webhook-waiting/`), " +
            "`mcp` is `/mcp/`, `chat` the web socket of hosted chats. n8n prints links to them in any case; they lead nowhere while they are closed.",
          example: ["forms", "waiting"],
          affects: "gateway",
        }),
      visitors: map({
        requestsPerSecond: whole("requests a second", { least: 1, most: 10_000 }).prefault(10).meta({
          description: "What one address may ask of n8n, beyond which the answer is 429.",
          example: 10,
        }),
        burst: whole("requests", { least: 1, most: 10_000 }).prefault(50).meta({
          description: "Requests beyond that rate which are answered at once.",
          example: 50,
        }),
        connections: whole("requests", { least: 20, most: 10_000 })
          .prefault(100)
          .meta({ description: "Requests of one address that are answered at the same time.", example: 100 }),
        silentSeconds: whole("seconds", { least: 5, most: 600 }).prefault(20).meta({
          description: "Silence in the middle of a request or an answer after which it is cut, in seconds.",
          example: 20,
        }),
      }).meta({
        description: "What one address may ask for; people behind one router share an address.",
        affects: "gateway",
      }),
      hold,
    }),
    documentProcessor: map({
      ...limits(640, 1),
      enabled: enabled(),
      project: googleProject.default("").meta({
        description: "Google Cloud project; required when the service is on.",
        example: "technicia-prod-1234",
      }),
      location: choice(["eu", "us"])
        .meta({
          description: "Region of the Document AI processor; required when the service is on.",
          example: "eu",
        })
        .optional()
        .transform((location) => location ?? ""),
      processorId: text(
        "expected the id of a Document AI processor, 8 to 20 hexadecimal digits",
        /^[0-9a-f]{8,20}$/,
      )
        .default("")
        .meta({
          description: "Document AI processor; required when the service is on.",
          example: "0123456789abcdef",
        }),
    }),
    visionClassifier: map({ ...limits(384, 1), enabled: enabled() }),
    frontend: map({ ...limits(64, 0.5), enabled: enabled() }),
    metrics: monitoringLimits(128, 0.5),
    logs: monitoringLimits(128, 0.5),
    metricRules: monitoringLimits(48, 0.25),
    logRules: monitoringLimits(48, 0.25),
    alerts: monitoringLimits(64, 0.25),
    probes: monitoringLimits(32, 0.25),
  }).meta({ description: "Limits and options of every service." }),
  uploadMaxMib: whole("MiB", { least: 1, most: 2048 }).meta({
    description: "Largest upload, in MiB; one number for nginx and both limits of n8n.",
    example: 200,
    affects: "gateway, n8n",
  }),
  timeouts: map({
    uploadSeconds: whole("seconds", { least: 30, most: 7200 }).meta({
      description: "Longest upload, and longest run of a workflow.",
      example: 600,
      affects: "gateway, n8n",
    }),
    answerSeconds: whole("seconds", { least: 30, most: 3600 }).meta({
      description: "Longest answer of a webhook that asks a language model.",
      example: 120,
      affects: "gateway",
    }),
    convergenceSeconds: whole("seconds", { least: 30, most: 3600 }).meta({
      description: "Longest wait for a service to run after a change.",
      example: 600,
      affects: "every service",
    }),
    observationSeconds: whole("seconds", { least: 5, most: 3600 }).meta({
      description: "How long an update is watched for failing tasks before it counts.",
      example: 60,
      affects: "every service",
    }),
  }).meta({ description: "Time limits, in seconds." }),
  protectData: flag().meta({
    description:
      "Whether destroy must leave stored data alone. It has no default, because a wrong guess loses data.",
    example: true,
    affects: "qdrant, n8n, postgres, documents, server",
  }),
  documents,
  backup,
  monitoring,
  workflows,
  policy,
  operations,
} as const;

export type SectionName = keyof typeof sections;
export type Sections = { readonly [Name in SectionName]: z.output<(typeof sections)[Name]> };
