/** A service as Docker's own API describes it, from the inputs of Docker's plugin; and a look at whether services hold anything beside that. */
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { NOTHING_EXTRA } from "../common/nothing-extra.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";

/** What a service declares; how long its update is waited for is no part of it. */
export type DeclaredService = pulumi.Unwrap<Omit<docker.ServiceArgs, "convergeConfig">>;

type Api = Readonly<Record<string, unknown>>;
type Fields = Readonly<Record<string, unknown>>;

/**
 * One field of the plugin: its name in the API, and how its value is written there.
 *
 * An input without a row is an error: a field that is left out here would be taken for one that nobody declared.
 */
type Row = readonly [name: string, convert?: (value: never) => unknown];

const TASK: Readonly<Record<string, Row>> = {
  containerSpec: ["ContainerSpec", (spec: Fields) => convert(spec, CONTAINER)],
  networksAdvanceds: ["Networks", each({ id: ["Target"], aliases: ["Aliases"] })],
  resources: [
    "Resources",
    fields({ limits: ["Limits", fields({ memoryBytes: ["MemoryBytes"], nanoCpus: ["NanoCPUs"] })] }),
  ],
  restartPolicy: [
    "RestartPolicy",
    fields({
      condition: ["Condition"],
      delay: ["Delay", nanoseconds],
      maxAttempts: ["MaxAttempts"],
      window: ["Window", nanoseconds],
    }),
  ],
  logDriver: ["LogDriver", fields({ name: ["Name"], options: ["Options"] })],
  placement: [
    "Placement",
    fields({
      constraints: ["Constraints"],
      prefs: [
        "Preferences",
        (prefs: readonly string[]) => prefs.map((text) => ({ Spread: { SpreadDescriptor: text } })),
      ],
    }),
  ],
};

const CONTAINER: Readonly<Record<string, Row>> = {
  image: ["Image"],
  commands: ["Command"],
  args: ["Args"],
  env: [
    "Env",
    (env: Readonly<Record<string, string>>) => Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ],
  healthcheck: [
    "Healthcheck",
    fields({
      tests: ["Test"],
      interval: ["Interval", nanoseconds],
      timeout: ["Timeout", nanoseconds],
      retries: ["Retries"],
      startPeriod: ["StartPeriod", nanoseconds],
    }),
  ],
  hosts: [
    "Hosts",
    (hosts: readonly { host: string; ip: string }[]) => hosts.map(({ host, ip }) => `${ip} ${host}`),
  ],
  init: ["Init"],
  labels: ["Labels", pairs],
  readOnly: ["ReadOnly"],
  sysctl: ["Sysctls"],
  user: ["User"],
  capDrops: ["CapabilityDrop"],
  capAdds: ["CapabilityAdd"],
  stopGracePeriod: ["StopGracePeriod", nanoseconds],
  stopSignal: ["StopSignal"],
  mounts: [
    "Mounts",
    each({
      type: ["Type"],
      source: ["Source"],
      target: ["Target"],
      readOnly: ["ReadOnly"],
      tmpfsOptions: ["TmpfsOptions", fields({ sizeBytes: ["SizeBytes"], mode: ["Mode"] })],
    }),
  ],
  secrets: [
    "Secrets",
    (secrets: readonly Fields[]) =>
      secrets.map(({ secretId, secretName, fileName, fileUid, fileGid, fileMode }) => ({
        SecretID: secretId,
        SecretName: secretName,
        File: { Name: fileName, UID: fileUid, GID: fileGid, Mode: fileMode },
      })),
  ],
};

const UPDATE = fields({
  parallelism: ["Parallelism"],
  delay: ["Delay", nanoseconds],
  failureAction: ["FailureAction"],
  monitor: ["Monitor", nanoseconds],
  maxFailureRatio: ["MaxFailureRatio", Number],
  order: ["Order"],
});

const SERVICE: Readonly<Record<string, Row>> = {
  name: ["Name"],
  labels: ["Labels", pairs],
  taskSpec: ["TaskTemplate", fields(TASK)],
  mode: [
    "Mode",
    fields({
      replicated: ["Replicated", fields({ replicas: ["Replicas"] })],
      global: ["Global", () => ({})],
    }),
  ],
  updateConfig: ["UpdateConfig", UPDATE],
  rollbackConfig: ["RollbackConfig", UPDATE],
  endpointSpec: [
    "EndpointSpec",
    fields({
      mode: ["Mode"],
      ports: [
        "Ports",
        each({
          targetPort: ["TargetPort"],
          publishedPort: ["PublishedPort"],
          protocol: ["Protocol"],
          publishMode: ["PublishMode"],
        }),
      ],
    }),
  ],
};

export interface ComparedServices {
  readonly specs: readonly pulumi.Input<object>[];

  /** Addresses in the tunnel of the servers that are in the Swarm. @default - this one alone */
  readonly nodes?: readonly string[];
}

/**
 * Compares every field of these services, and of the Swarm that they run in, with what is declared; the next update sets them back.
 *
 * Docker's plugin knows some fields only, and takes what it finds in others for declared.
 */
export function compareServices(
  name: string,
  { specs, nodes = [] }: ComparedServices,
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  const read = (file: string) => script(new URL(`scripts/${file}.sh`, import.meta.url));
  const program = [read("extra-specs"), ...(nodes.length === 0 ? [] : [read("extra-specs-nodes")])].join(
    "\n",
  );
  return new technicia.State(
    name,
    {
      observe: `${program}\nobserve`,
      desired: NOTHING_EXTRA,
      apply: `${program}\napply`,
      variables: {
        SPECS: pulumi.all([...specs]).apply((all) => JSON.stringify(all)),
        ...(nodes.length === 0 ? {} : { NODES: nodes.join(" ") }),
      },
      // One service after the other is set back, each with a new task.
      timeoutSeconds: 900,
    },
    opts,
  );
}

export function describeInApi(service: DeclaredService): Api {
  return convert(service, SERVICE);
}

function convert(values: Fields, rows: Readonly<Record<string, Row>>): Api {
  const entries = Object.entries(values).flatMap(([key, value]): [string, unknown][] => {
    if (value === undefined) return [];
    const row = rows[key];
    if (row === undefined)
      throw new Error(`${key}: expected a row for this field of a service in ${import.meta.url}`);
    const [name, to] = row;
    return [[name, to === undefined ? value : to(value as never)]];
  });
  return Object.fromEntries(entries);
}

function fields(rows: Readonly<Record<string, Row>>) {
  return (values: Fields) => convert(values, rows);
}

function each(rows: Readonly<Record<string, Row>>) {
  return (list: readonly Fields[]) => list.map((values) => convert(values, rows));
}

function pairs(labels: readonly { readonly label: string; readonly value: string }[]) {
  return Object.fromEntries(labels.map(({ label, value }) => [label, value]));
}

const UNITS: Readonly<Record<string, number>> = { h: 3600e9, m: 60e9, s: 1e9, ms: 1e6 };

/** A duration as Go writes it, such as `1m30s`. */
function nanoseconds(duration: string): number {
  const parts = [...duration.matchAll(/(\d+)(ms|[hms])/g)];
  return parts.reduce((sum, [, count, unit = "s"]) => sum + Number(count) * (UNITS[unit] ?? 0), 0);
}
