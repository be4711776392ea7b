import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { compare, validate } from "compare-versions";

import { versionOf } from "../common/image-reference.ts";
import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { createDataVolume, type Mount, type SecretFile, Service, type CommonServiceArgs } from "./service.ts";

/** User and group of the process. */
export const UID = 1000;

/** Longest run of one Code node. */
const TASK_SECONDS = "300";
const { ready: READY } = scriptParts(new URL("scripts/n8n-ready.sh", import.meta.url), ["ready"]);
/** Share of the memory limit for Node's heap; the rest is for buffers of uploads. */
const HEAP_SHARE = 0.7;

/** What an environment decides about the service that runs its workflows' code. */
export interface RunnersArgs extends CommonServiceArgs {
  /** Shared with n8n, whose broker admits nobody without it. */
  readonly token: pulumi.Input<string>;

  /** Network of n8n and the runners alone. */
  readonly network: docker.Network;
}

/** What an environment decides about its n8n. */
export interface N8nArgs extends CommonServiceArgs {
  readonly edge: docker.Network;
  readonly app: docker.Network;
  readonly data: docker.Network;

  /** Public name of the environment; webhooks are addressed by it. */
  readonly domain: string;

  /** URL at which people open the editor. */
  readonly editorUrl: string;

  readonly timeZone: string;

  /** Largest upload, in MiB. */
  readonly uploadMaxMib: number;

  /** Longest execution of a workflow, in seconds. */
  readonly executionSeconds: number;

  /** SQLite on n8n's own volume, or the service `postgres` of the data network. */
  readonly database:
    { readonly kind: "sqlite" } | { readonly kind: "postgres"; readonly password: pulumi.Input<string> };

  /** Runners of Code nodes as a service of their own; n8n starts them itself when absent. */
  readonly runners?: RunnersArgs | undefined;

  readonly secrets: {
    readonly encryptionKey: pulumi.Input<string>;
    readonly jwtSecret: pulumi.Input<string>;
  };

  /** Whether it tells its metrics to who asks on its networks. @default false */
  readonly metrics?: boolean;

  /** Whether its public API answers, on the server's loopback and through the tunnel. @default false */
  readonly publicApi?: boolean;

  /** Where workflows keep the files of documents; the only folder whose files they may read and write. @default none of a service's volumes */
  readonly documents?: Mount | undefined;

  /** What its service waits for, besides what it is made from: n8n stops and starts only after it. @default - nothing */
  readonly after?: pulumi.Input<pulumi.Resource> | undefined;

  /** Hosts inside the Docker networks that workflows may call. */
  readonly internalHosts: readonly string[];

  /** Whether `pulumi destroy` must leave workflows and credentials alone. */
  readonly protectData: boolean;
}

/** n8n. Its owner account is created separately, by `createN8nOwner`. */
export class N8n extends pulumi.ComponentResource {
  readonly service: Service;

  /** The service that runs the workflows' code; none when n8n runs it itself. */
  readonly runners: Service | undefined;

  constructor(name: string, args: N8nArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:N8n", name, {}, opts);

    const volume = createDataVolume(`${name}-data`, args, { parent: this });
    this.service = new Service(
      name,
      {
        ...args,
        networks: [
          { network: args.edge, aliases: ["n8n", "technicia-n8n"] },
          { network: args.app, aliases: ["n8n", "technicia-n8n"] },
          ...(args.database.kind === "postgres" ? [{ network: args.data }] : []),
          ...(args.runners === undefined ? [] : [{ network: args.runners.network, aliases: ["n8n"] }]),
        ],
        environment: renderEnvironment(args),
        secrets: secretFiles(args),
        uid: UID,
        mounts: [
          { type: "volume", source: volume.name, target: "/home/node/.n8n" },
          ...(args.documents === undefined ? [] : [args.documents]),
        ],
        health: ["CMD-SHELL", READY],
        startPeriod: "2m",
        ownsData: true,
        stopGracePeriod: "40s",
      },
      { parent: this, ...(args.after === undefined ? {} : { dependsOn: [args.after] }) },
    );
    this.runners =
      args.runners &&
      // n8n refuses a runner with a token that it does not have yet, and Docker takes the update of such a runner back.
      createRunners(
        `${name}-runners`,
        { ...args.runners, timeZone: args.timeZone },
        { parent: this, dependsOn: [this.service] },
      );
    this.registerOutputs({});
  }
}

/** First account of an instance, created before anybody can reach it. */
export interface N8nOwnerArgs {
  readonly email: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly password: pulumi.Input<string>;
}

/** Creates the owner over n8n's API, because n8n 2.3 cannot take it from the environment as later versions can. */
export function createN8nOwner(
  name: string,
  { email, firstName, lastName, password }: N8nOwnerArgs,
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  return new technicia.State(
    name,
    {
      observe: script(new URL("scripts/n8n-owner-observe.sh", import.meta.url)),
      desired: "the instance has an owner",
      apply: script(new URL("scripts/n8n-owner-apply.sh", import.meta.url)),
      variables: { N8N: "http://127.0.0.1:5678" },
      // The order of keys is part of the value: another one would sign in to n8n again in every stack.
      secrets: { OWNER: pulumi.jsonStringify({ email, firstName, lastName, password }) },
    },
    opts,
  );
}

/** How long executions run and are kept, and how many run at once. */
function executionEnvironment({ executionSeconds, image }: N8nArgs): Record<string, pulumi.Input<string>> {
  const seconds = String(executionSeconds);
  return {
    EXECUTIONS_DATA_PRUNE: "true",
    EXECUTIONS_DATA_MAX_AGE: "336",
    EXECUTIONS_DATA_PRUNE_MAX_COUNT: "10000",
    EXECUTIONS_DATA_SAVE_ON_SUCCESS: "none",
    EXECUTIONS_TIMEOUT: seconds,
    EXECUTIONS_TIMEOUT_MAX: seconds,
    N8N_CONCURRENCY_PRODUCTION_LIMIT: pulumi.output(image).apply((name) => (losesPlaces(name) ? "-1" : "10")),
  };
}

/**
 * Before 2.10, an execution that waited for one of the places while n8n stopped takes one at the next start and never leaves it: after ten of
 * them n8n answers nothing (`active-executions.js`: 2.3.6 takes a place before it may fail, 2.10.0 gives it back).
 */
function losesPlaces(image: string): boolean {
  const version = versionOf(image);
  return validate(version) && compare(version, "2.10.0", "<");
}

function renderEnvironment(args: N8nArgs): Record<string, pulumi.Input<string>> {
  const upload = String(args.uploadMaxMib);
  return {
    ...databaseEnvironment(args.database.kind),
    N8N_ENCRYPTION_KEY_FILE: "/run/secrets/n8n_encryption_key",
    N8N_USER_MANAGEMENT_JWT_SECRET_FILE: "/run/secrets/n8n_jwt_secret",
    N8N_HOST: args.domain,
    N8N_PROTOCOL: "http",
    N8N_PORT: "5678",
    N8N_LISTEN_ADDRESS: "0.0.0.0",
    // Versions since 2.4x read the first name, earlier ones the second.
    N8N_WEBHOOK_URL: `https://${args.domain}/`,
    WEBHOOK_URL: `https://${args.domain}/`,
    N8N_EDITOR_BASE_URL: args.editorUrl,
    N8N_PROXY_HOPS: "1",
    // Without a public editor people sign in through the tunnel, at http://localhost, where Safari keeps no secure cookie.
    N8N_SECURE_COOKIE: String(args.editorUrl.startsWith("https:")),
    ...(args.runners === undefined
      ? { N8N_RUNNERS_MODE: "internal" }
      : {
          N8N_RUNNERS_MODE: "external",
          N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/n8n_runners_token",
          N8N_RUNNERS_BROKER_LISTEN_ADDRESS: "0.0.0.0",
        }),
    N8N_RUNNERS_TASK_TIMEOUT: TASK_SECONDS,
    ...executionEnvironment(args),
    N8N_PAYLOAD_SIZE_MAX: upload,
    N8N_FORMDATA_FILE_SIZE_MAX: upload,
    N8N_DEFAULT_BINARY_DATA_MODE: "filesystem",
    N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS: "true",
    N8N_BLOCK_ENV_ACCESS_IN_NODE: "true",
    NODES_EXCLUDE: '["n8n-nodes-base.executeCommand","n8n-nodes-base.localFileTrigger","n8n-nodes-base.ssh"]',
    N8N_RESTRICT_FILE_ACCESS_TO: args.documents?.target ?? "/home/node/.n8n-files",
    // Only the commands about workflows call it.
    N8N_PUBLIC_API_DISABLED: String(args.publicApi !== true),
    N8N_PUBLIC_API_SWAGGERUI_DISABLED: "true",
    N8N_UNVERIFIED_PACKAGES_ENABLED: "false",
    N8N_SSRF_PROTECTION_ENABLED: "true",
    // Without these exceptions no HTTP node could call the other services.
    N8N_SSRF_ALLOWED_HOSTNAMES: args.internalHosts.join(","),
    N8N_DIAGNOSTICS_ENABLED: "false",
    N8N_VERSION_NOTIFICATIONS_ENABLED: "false",
    N8N_TEMPLATES_ENABLED: "false",
    N8N_HIRING_BANNER_ENABLED: "false",
    N8N_DYNAMIC_BANNERS_ENABLED: "false",
    N8N_AI_GATEWAY_ENABLED: "false",
    N8N_PERSONALIZATION_ENABLED: "false",
    // n8n asks nobody for a password there; the gateway forwards nothing to it.
    N8N_METRICS: String(args.metrics ?? false),
    // Without it n8n counts no executions.
    N8N_METRICS_INCLUDE_MESSAGE_EVENT_BUS_METRICS: String(args.metrics ?? false),
    // What workflows count (answers, documents, tokens) is a line of a Code node.
    CODE_ENABLE_STDOUT: "true",
    N8N_LOG_LEVEL: "info",
    N8N_LOG_FORMAT: "json",
    N8N_LOG_OUTPUT: "console",
    GENERIC_TIMEZONE: args.timeZone,
    TZ: args.timeZone,
    N8N_GRACEFUL_SHUTDOWN_TIMEOUT: "30",
    NODE_OPTIONS: `--max-old-space-size=${Math.floor(args.limits.memoryMib * HEAP_SHARE)}`,
  };
}

function databaseEnvironment(database: N8nArgs["database"]["kind"]): Record<string, string> {
  if (database === "sqlite") return { DB_TYPE: "sqlite", DB_SQLITE_POOL_SIZE: "4" };
  return {
    DB_TYPE: "postgresdb",
    DB_POSTGRESDB_HOST: "postgres",
    DB_POSTGRESDB_PORT: "5432",
    DB_POSTGRESDB_DATABASE: "n8n",
    DB_POSTGRESDB_USER: "n8n",
    DB_POSTGRESDB_PASSWORD_FILE: "/run/secrets/postgres_password",
    DB_POSTGRESDB_POOL_SIZE: "5",
  };
}

function secretFiles(args: N8nArgs): SecretFile[] {
  return [
    { file: "n8n_encryption_key", value: args.secrets.encryptionKey },
    { file: "n8n_jwt_secret", value: args.secrets.jwtSecret },
    ...(args.runners === undefined ? [] : [{ file: "n8n_runners_token", value: args.runners.token }]),
    ...(args.database.kind === "postgres"
      ? [{ file: "postgres_password", value: args.database.password }]
      : []),
  ];
}

function createRunners(
  name: string,
  args: RunnersArgs & Pick<N8nArgs, "timeZone">,
  opts: pulumi.ComponentResourceOptions,
): Service {
  return new Service(
    name,
    {
      image: args.image,
      limits: args.limits,
      convergenceSeconds: args.convergenceSeconds,
      observationSeconds: args.observationSeconds,
      logTag: args.logTag,
      placement: args.placement,
      networks: [{ network: args.network }],
      environment: {
        N8N_RUNNERS_TASK_BROKER_URI: "http://n8n:5679",
        N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/n8n_runners_token",
        // The runner ends a task by its own limit, whatever n8n's is, and has New York's time unless told otherwise.
        N8N_RUNNERS_TASK_TIMEOUT: TASK_SECONDS,
        GENERIC_TIMEZONE: args.timeZone,
      },
      secrets: [{ file: "n8n_runners_token", value: args.token }],
      uid: UID,
      health: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:5680/healthz"],
      readOnly: true,
      mounts: [{ type: "tmpfs", target: "/tmp" }],
    },
    opts,
  );
}
