import * as pulumi from "@pulumi/pulumi";

import { LOOPBACK_PORTS } from "../common/monitoring.ts";
import { script } from "../common/script.ts";
import { type MonitoringService, monitoringServices, SERVICES, swarmName } from "../common/services.ts";
import * as technicia from "../provider/resources.ts";
import { createAccessLines } from "./monitoring/access-lines.ts";
import { renderAlertmanager } from "./monitoring/alertmanager.ts";
import {
  createCollector,
  createExporter,
  createJournalUpload,
  type Sender,
} from "./monitoring/collection.ts";
import { renderDashboards } from "./monitoring/dashboards.ts";
import { CONFIG_FOLDER, type MonitoringFacts } from "./monitoring/facts.ts";
import { renderLogRules } from "./monitoring/log-rules.ts";
import { renderMessages } from "./monitoring/messages.ts";
import { renderMetricRules } from "./monitoring/metric-rules.ts";
import { renderProbes } from "./monitoring/probes.ts";
import {
  describePrograms,
  FOLDER,
  folderOf,
  type ProgramNetworks,
  type ProgramSecrets,
  type ProgramSettings,
} from "./monitoring/programs.ts";
import { renderScrape } from "./monitoring/scrape.ts";
import { type CommonServiceArgs, createDataVolume, Service } from "./service.ts";

const RELOAD = "/opt/technicia/bin/monitoring-reload";

/** What an environment decides about its monitoring. */
export interface MonitoringArgs {
  readonly host: technicia.Connection;

  /** Provider of what Docker runs. */
  readonly docker: pulumi.ProviderResource;

  readonly networks: ProgramNetworks;

  /** Image, limits and times of each program. */
  readonly programs: Readonly<Record<MonitoringService, CommonServiceArgs>>;

  readonly settings: Omit<ProgramSettings, "memoryMib">;

  /** What rules, routes and dashboards are rendered from. */
  readonly facts: MonitoringFacts;

  readonly secrets: ProgramSecrets;

  /** Of several servers. @default - there is one */
  readonly sender?: Sender;
}

/**
 * Metrics, logs, the rules about both, the alerts that follow, and probes: six programs on a network of their own, their files, and what
 * the host sends them.
 *
 * A changed file is checked by its program before it is written, and read without a restart.
 */
export class Monitoring extends pulumi.ComponentResource {
  readonly services: Readonly<Record<MonitoringService, Service>>;

  constructor(name: string, args: MonitoringArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Monitoring", name, {}, opts);
    const onHost = { parent: this, provider: args.host };
    const reload = new technicia.File(
      `${name}-reload`,
      {
        path: RELOAD,
        content: script(new URL("scripts/monitoring-reload.sh", import.meta.url)),
        mode: "0755",
        validate: 'bash -n "$FILE"',
      },
      onHost,
    );
    const files = createFiles(name, args, { ...onHost, dependsOn: [reload] });
    this.services = createServices(args, files, { parent: this, provider: args.docker });
    const afterStore = { ...onHost, dependsOn: [this.services.metrics, this.services.logs] };
    sendFrom(name, { seconds: args.settings.scrapeSeconds, sender: args.sender }, afterStore);
    this.registerOutputs({});
  }
}

/** What an environment decides about the monitoring of a server that has none of its programs. */
export interface ServerMonitoringArgs {
  readonly host: technicia.Connection;
  readonly seconds: number;
  readonly sender: Sender;

  /** Whether visitors arrive there. */
  readonly hasGateway: boolean;
}

/** Metrics of one of several servers and its journal, which it sends through the tunnel to the server of the stores. */
export class ServerMonitoring extends pulumi.ComponentResource {
  constructor(
    name: string,
    { host, hasGateway, ...sending }: ServerMonitoringArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("technicia:components:ServerMonitoring", name, {}, opts);
    const onHost = { parent: this, provider: host };
    const programs = sendFrom(name, sending, onHost);
    if (hasGateway) createAccessLines(name, { sender: sending.sender, after: programs }, onHost);
    this.registerOutputs({});
  }
}

/** What a server sends to the stores; gives the modules of its collector. */
function sendFrom(
  name: string,
  { seconds, sender }: { readonly seconds: number; readonly sender: Sender | undefined },
  onHost: pulumi.CustomResourceOptions,
): technicia.File[] {
  createExporter(name, onHost);
  const programs = createCollector(name, { seconds, folder: FOLDER, sender }, onHost);
  createJournalUpload(name, sender, onHost);
  return programs;
}

type Files = Readonly<Record<MonitoringService, readonly technicia.File[]>>;

/** A file of a program; `check` are the arguments with which its image checks one. */
interface ProgramFile {
  readonly name: string;
  readonly content: string;
  readonly check?: readonly string[];
  /** Program in the image that checks it. @default the image's own */
  readonly checkedBy?: string;
}

function filesOf(facts: MonitoringFacts): Readonly<Record<MonitoringService, readonly ProgramFile[]>> {
  return {
    metrics: [
      { name: "scrape.yml", content: renderScrape(facts), check: ["-dryRun", "-promscrape.config="] },
      ...Object.entries(renderDashboards(facts)).map(([name, content]) => ({
        name: `dashboards/${name}`,
        content,
      })),
    ],
    logs: [],
    metricRules: [
      {
        name: "rules.yml",
        content: renderMetricRules(facts),
        check: ["-dryRun", "-rule.defaultRuleType=prometheus", "-rule="],
      },
    ],
    logRules: [
      {
        name: "rules.yml",
        content: renderLogRules(facts),
        check: ["-dryRun", "-rule.defaultRuleType=vlogs", "-rule="],
      },
    ],
    alerts: [
      { name: "messages.tmpl", content: renderMessages(facts) },
      {
        name: "alertmanager.yml",
        content: renderAlertmanager(facts),
        check: ["check-config", ""],
        checkedBy: "/bin/amtool",
      },
    ],
    probes: [
      {
        name: "blackbox.yml",
        content: renderProbes(facts),
        check: ["--config.check", "--config.file="],
      },
    ],
  };
}

function createFiles(name: string, args: MonitoringArgs, onHost: pulumi.CustomResourceOptions): Files {
  const all = filesOf(args.facts);
  return mapPrograms((program) => {
    const created: technicia.File[] = [];
    for (const file of all[program]) {
      // In their order: the routes name the messages.
      const options = { ...onHost, dependsOn: [...(onHost.dependsOn as pulumi.Resource[]), ...created] };
      created.push(createFile(name, { ...args, program, file }, options));
    }
    return created;
  });
}

function createFile(
  name: string,
  { program, file, programs }: MonitoringArgs & { program: MonitoringService; file: ProgramFile },
  options: pulumi.CustomResourceOptions,
): technicia.File {
  const { alias } = SERVICES[program];
  const label = file.name.replace(/\.[a-z]+$/, "").replace("/", "-");
  const { check, checkedBy } = file;
  return new technicia.File(
    `${name}-${alias}-${label}`,
    {
      path: `${folderOf(alias)}/${file.name}`,
      content: file.content,
      ...(check === undefined
        ? {}
        : { validate: validation({ alias, image: programs[program].image, check, checkedBy }) }),
      // Dashboards are read whenever somebody looks at them.
      ...(file.name.startsWith("dashboards/")
        ? {}
        : { onChange: `test ! -x ${RELOAD} || ${RELOAD} ${alias} ${LOOPBACK_PORTS[alias]}` }),
    },
    options,
  );
}

interface Validation {
  readonly alias: string;
  readonly image: pulumi.Input<string>;
  readonly check: readonly string[];
  readonly checkedBy: string | undefined;
}

/** Has the program check its file, in the image that will read it; the file's name follows the last argument. */
function validation({ alias, image, check, checkedBy }: Validation): pulumi.Output<string> {
  const words = check.slice(0, -1).join(" ");
  const program = checkedBy === undefined ? "" : `--entrypoint ${checkedBy} `;
  return pulumi.interpolate`docker run --rm --network none --read-only --cap-drop ALL --volume ${folderOf(alias)}:${CONFIG_FOLDER}:ro ${program}'${image}' ${words} ${check.at(-1) ?? ""}"${CONFIG_FOLDER}/$(basename "$FILE")"`;
}

function createServices(
  { networks, programs, settings, secrets }: MonitoringArgs,
  files: Files,
  onSwarm: pulumi.CustomResourceOptions,
): Readonly<Record<MonitoringService, Service>> {
  const memoryMib = mapPrograms((program) => programs[program].limits.memoryMib);
  const described = describePrograms({ ...settings, memoryMib }, secrets);
  const stores: Service[] = [];
  return mapPrograms((program) => {
    const { others, volume, mounts, ...args } = described[program];
    const { alias } = SERVICES[program];
    const data =
      volume === undefined
        ? []
        : [createDataVolume(volume, { protectData: false, volumesOn: programs[program].volumesOn }, onSwarm)];
    const configuration =
      files[program].length === 0
        ? []
        : [{ type: "bind" as const, source: folderOf(alias), target: CONFIG_FOLDER, readOnly: true }];
    // Deleted before the stores: rules that cannot write to theirs any more try for as long as Docker lets them stop, which fails a destroy.
    const after = program === "metricRules" || program === "logRules" ? stores : [];
    const service = new Service(
      swarmName(program),
      {
        ...programs[program],
        ...args,
        networks: [
          { network: networks.inside, aliases: [alias, swarmName(program)] },
          ...others.map((network) => ({ network: networks[network] })),
        ],
        mounts: [...configuration, ...(mounts ?? [])],
        readOnly: true,
      },
      {
        parent: onSwarm.parent!,
        providers: [onSwarm.provider!],
        dependsOn: [...files[program], ...data, ...after],
      },
    );
    if (program === "metrics" || program === "logs") stores.push(service);
    return service;
  });
}

function mapPrograms<Value>(
  valueOf: (program: MonitoringService) => Value,
): Readonly<Record<MonitoringService, Value>> {
  return Object.fromEntries(
    monitoringServices.map((program) => [program, valueOf(program)]),
  ) as unknown as Record<MonitoringService, Value>;
}
