import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

import { parse, stringify } from "yaml";

import type { Check } from "../../../common/check.ts";
import type { CheckContext } from "../../../ops/checks/context.ts";
import type { Plan } from "../../../ops/deploy/update.ts";
import type { Operator } from "../../../ops/deploy/session.ts";
import type { Release } from "../../../common/release.ts";
import { readHistory, readReleases } from "../../../ops/server/records.ts";
import type { NewIncident } from "../../../reports/incidents/book.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";
import { UserError } from "../../../common/user-error.ts";
import { PulumiFailure, type PulumiCall } from "../../../ops/engine/cli.ts";
import { deploymentFacts, environmentWith, validSettings } from "../../support/fixtures.ts";
import { DECLARATION_TYPE } from "../../../stacks/declaration-record.ts";
import { keepWorkflow, type Workflow } from "../../../provider/n8n/workflow.ts";
import { inFolder, readContent } from "../../../stacks/workflows/folder.ts";
import { describeAccess, describeStatus } from "../../../stacks/deployment-status.ts";
import { letTimePass, startLocalServer, type LocalServer } from "../server/local-server.ts";

/** A Tuesday on which the window of the fixtures' settings is open. */
export const TUESDAY = new Date("2026-11-24T10:00:00Z");

export const ok: Check = { id: "https", title: "Application accessible", outcome: "ok", detail: "200" };
export const failing: Check = { ...ok, outcome: "failed", detail: "500" };
export const unknown: Check = {
  ...ok,
  id: "backups",
  title: "Sauvegardes",
  outcome: "not-checked",
  detail: "aucune",
};

const stepOf = (service: string) => ({
  op: "update",
  urn: `urn:pulumi:test::technicia::docker:index/service:Service::technicia-${service}-service`,
  type: "docker:index/service:Service",
});

const SECRETS: Readonly<Record<string, string>> = {
  "technicia:voyageApiKey": "pa-hush",
  "technicia:registryPassword": "registry-password",
};

/** What a pull of that image would give. */
export function pulled(name: string): string {
  return name.includes("@") ? name : `${name}@sha256:${createHash("sha256").update(name).digest("hex")}`;
}

/** What the engine answers to an update: nothing, or why it fails, and the service that it had begun to change if it had changed anything. */
export type UpAnswer =
  { readonly error: string; readonly changed: boolean; readonly service?: string } | undefined;

/** A stack on a server of its own, and everything around it that a test may turn. */
export class TestStack implements AsyncDisposable {
  readonly server: LocalServer;
  readonly calls: PulumiCall[] = [];
  readonly printed: string[] = [];
  /** Parts in the order in which they were run. */
  readonly parts: string[] = [];
  /** Text of the settings of the update that ran last. */
  applied = "";

  settings: string;
  images: Record<string, string> = {};
  /** n8n's workflows as the engine has written them; undefined: it left n8n alone. */
  workflows: readonly Workflow[] | undefined;
  /** Folder of the project; undefined: this one. */
  project: string | undefined;
  deployed = false;
  /** Settings that the state has of the last deployment; undefined: it has none. */
  declared: Readonly<Record<string, string>> | undefined;
  /** Services that do not run, whatever the settings say. */
  off = new Set(["postgres"]);
  /** What the program of backups on the server answers to its words; without one there are no backups on it. */
  program: ((words: readonly string[]) => unknown) | undefined;
  /** Words with which that program was called. */
  readonly programCalls: (readonly string[])[] = [];
  /** Set of a restore that was interrupted. */
  restoring: string | undefined;
  finishedBy: string | undefined;
  /** Image that the server names for a service. */
  services: (() => string) | undefined;
  now = TUESDAY;

  preflight: () => Promise<Check[]> = () => Promise.resolve([ok, unknown]);
  verify: (context: CheckContext) => Promise<Check[]> = () => Promise.resolve([ok, unknown]);
  cost: Operator["readCost"] = () => Promise.reject(new Error("no cost is asked for"));
  observe: Operator["observe"] = () => Promise.reject(new Error("nothing is observed"));
  /** What the monitoring on the server answers to a request; undefined: it does not answer. */
  monitoring: ((requests: string) => string) | undefined;
  up: (
    images: Readonly<Record<string, string>>,
    environment: Readonly<Record<string, string>>,
  ) => Promise<UpAnswer> = () => Promise.resolve(undefined);
  upSeconds = 60;
  /** Log of a real preview, which the update's own log then holds too. */
  recorded: string | undefined;
  plan: Plan = { file: "/scratch/plan.json", reviewed: false, refreshed: false };
  /** Id of the set that is made before a release; undefined without backups. */
  takeSet: () => Promise<string | undefined> = () => Promise.resolve(undefined);
  planFailure: string | undefined;
  planChanges: string[] = [];
  pending = { adopted: [] as string[], forgotten: [] as string[], refreshed: [] as string[] };
  readonly incidents: NewIncident[] = [];
  incidentFault: string | undefined;
  confirms = true;
  readonly asked: string[] = [];
  /** What the plan says of the host key of a first deployment. */
  hostKey: string | undefined;
  identity = { who: "alice@laptop", run: "", process: 4001 };
  alive = new Set([4001]);
  stop = new AbortController();
  /** What the server answers to a command instead of running it; undefined: it runs it. */
  instead: (command: ServerCommand) => ReturnType<LocalServer["run"]> | undefined = () => undefined;
  readonly #timers = new Set<() => void>();

  private constructor(server: LocalServer) {
    this.server = server;
    const settings = Object.entries(validSettings());
    this.settings = stringify({
      encryptionsalt: "v1:salt",
      config: {
        ...Object.fromEntries(settings.map(([key, value]) => [`technicia:${key}`, value])),
        // The tests of its part in a command switch it on.
        "technicia:monitoring": { enabled: false },
        "technicia:voyageApiKey": { secure: "v1:cipher" },
      },
    });
  }

  static async open(): Promise<TestStack> {
    return new TestStack(await startLocalServer());
  }

  get operator(): Operator {
    return {
      pulumi: (call) => this.#pulumi(call),
      openServer: () => ({ ...this.server, run: (command) => this.#run(command) }),
      identity: this.identity,
      git: (args) => Promise.resolve(this.#git(args[0] ?? "")),
      now: () => this.now,
      every: (_seconds, action) => {
        this.#timers.add(action);
        return () => this.#timers.delete(action);
      },
      pause: (seconds) => letTimePass(this.server, seconds),
      isAlive: (process) => this.alive.has(process),
      say: (line) => void this.printed.push(line),
      confirm: (question) => {
        this.asked.push(question);
        return Promise.resolve(this.confirms);
      },
      signal: this.stop.signal,
      preflight: () => this.#part("preflight", 5, () => this.preflight()),
      verify: (context) => this.#part("verify", 20, () => this.verify(context)),
      observe: (context, since) => this.#part("observation", 300, () => this.observe(context, since)),
      readCost: (environment) => this.cost(environment),
      makePlan: () =>
        this.#part("plan", 10, () =>
          Promise.resolve({
            plan: this.plan,
            text: "1 to update",
            failure: this.planFailure,
            hostKey: this.hostKey,
          }),
        ),
      checkPlan: (_stack, folder) =>
        Promise.resolve(
          this.planChanges.length > 0
            ? { changed: this.planChanges }
            : { plan: { file: `${folder}/plan.json`, reviewed: true, refreshed: false } },
        ),
      resume: () => Promise.resolve(this.pending),
      openIncident: (incident) => {
        if (this.incidentFault !== undefined) return Promise.reject(new UserError(this.incidentFault));
        this.incidents.push(incident);
        return Promise.resolve({ id: `DEPLOY-00${this.incidents.length}`, isNew: true });
      },
      takeSet: () => this.#part("set", 15, () => this.takeSet()),
      rehearse: ({ tag }) => Promise.resolve(void this.parts.push(`rehearse ${tag}`)),
      imageDigest: (name) => Promise.resolve(pulled(name).split("@")[1]!),
      readSettingsFile: () => Promise.resolve(this.settings),
      writeSettingsFile: (_stack, text) => Promise.resolve(void (this.settings = text)),
      project: this.project,
    };
  }

  /** Names a place for sets of backups in the settings. */
  keepBackups(): void {
    const file = parse(this.settings) as { config: Record<string, unknown> };
    const bucket = { address: "https://s3.example.org", region: "eu-1", name: "ours" };
    file.config["technicia:backup"] = { bucket };
    this.settings = stringify(file);
  }

  /** Lets every timer of the command that runs come due. */
  tick(): void {
    for (const action of this.#timers) action();
  }

  #run(command: ServerCommand): ReturnType<LocalServer["run"]> {
    const instead = this.instead(command);
    if (instead !== undefined) return instead;
    if (command.script.includes("systemd-run") && this.program) {
      const words = (command.variables?.["WORDS"] ?? "").split("\n");
      this.programCalls.push(words);
      return new Promise((resolve) => resolve({ stdout: JSON.stringify(this.program!(words)), stderr: "" }));
    }
    if (command.purpose.endsWith("of the monitoring")) {
      const silence = "\n000 Failed to connect\u001e".repeat(command.stdin!.split("\nnext\n").length);
      return Promise.resolve({ stdout: this.monitoring?.(command.stdin!) ?? silence, stderr: "" });
    }
    if (command.script.includes("setUpAt") && this.restoring !== undefined) {
      const { restoring, finishedBy } = this;
      const status = { setUpAt: TUESDAY.toISOString(), restoring, finishedBy };
      return Promise.resolve({ stdout: JSON.stringify(status), stderr: "" });
    }
    if (command.script.startsWith("docker service inspect") && this.services)
      return new Promise((resolve) => resolve({ stdout: this.services!(), stderr: "" }));
    return this.server.run(command);
  }

  setImage(name: string, image: string): void {
    const file = parse(this.settings) as { config: { "technicia:images": Record<string, string> } };
    file.config["technicia:images"][name] = image;
    this.settings = stringify(file);
  }

  /** Updates that the engine was asked for. */
  get ups(): readonly PulumiCall[] {
    return this.calls.filter(({ args }) => args[0] === "up");
  }

  async releases(): Promise<readonly Release[]> {
    return (await readReleases(this.server)).releases;
  }

  async lastRelease(): Promise<Release> {
    return (await this.releases()).at(-1)!;
  }

  async history(): Promise<readonly string[]> {
    return (await readHistory(this.server)).events.map(({ action, detail }) => `${action}: ${detail}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  async #part<T>(name: string, seconds: number, work: () => Promise<T>): Promise<T> {
    this.parts.push(name);
    this.#pass(seconds);
    return await work();
  }

  #pass(seconds: number): void {
    this.now = new Date(this.now.getTime() + seconds * 1000);
  }

  #git(command: string): string {
    const answers: Readonly<Record<string, string>> = {
      "rev-parse": "0123456789abcdef0123456789abcdef01234567\n",
      status: "",
      log: "Raise vector-store\n",
    };
    return answers[command] ?? "";
  }

  async #pulumi(call: PulumiCall): Promise<string> {
    this.calls.push(call);
    const { args } = call;
    if (args[0] === "config") return JSON.stringify(this.#configuration(args.includes("--show-secrets")));
    if (args[0] === "stack" && args[1] === "output") return JSON.stringify(this.deployed ? outputs() : {});
    if (args[0] === "stack" && args[1] === "export") return JSON.stringify(this.#state());
    if (args[0] !== "up") throw new Error(`unexpected: pulumi ${args.join(" ")}`);
    return await this.#update(call);
  }

  #configuration(showSecrets: boolean): unknown {
    const { config } = parse(this.settings) as { config: Record<string, unknown> };
    return Object.fromEntries(
      Object.entries(config).map(([key, value]) =>
        typeof value === "object" && value !== null && "secure" in value
          ? [key, { secret: true, ...(showSecrets ? { value: SECRETS[key] ?? "hush-hush" } : {}) }]
          : [key, { secret: false, value: typeof value === "string" ? value : JSON.stringify(value) }],
      ),
    );
  }

  #state(): unknown {
    const resources = Object.entries(this.images).map(([name, reference]) => {
      const label = name.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
      return {
        urn: `urn:pulumi:test::technicia::technicia:host:Image::image-${label}`,
        type: "technicia:host:Image",
        custom: true,
        outputs: { reference },
      };
    });
    const record = { basis: "", settings: this.declared, digests: {} };
    const declaration = {
      urn: `urn:pulumi:test::technicia::${DECLARATION_TYPE}::declaration`,
      ...{ type: DECLARATION_TYPE, outputs: record },
    };
    const content = {
      urn: "urn:pulumi:test::technicia::technicia:n8n:Content::n8n-content",
      type: "technicia:n8n:Content",
      inputs: {
        workflows: Object.fromEntries((this.workflows ?? []).map((one) => [one.id, keepWorkflow(one)])),
      },
    };
    const others = [...(this.declared ? [declaration] : []), ...(this.workflows ? [content] : [])];
    return { deployment: { resources: [...resources, ...others] } };
  }

  /** As the program of the stack reads them. */
  async #declaredWorkflows(workflows: { readonly enabled?: boolean } | undefined) {
    if (workflows?.enabled !== true) return undefined;
    const environment = environmentWith({ workflows });
    const request = { environment, project: this.project, signal: this.stop.signal, say: () => undefined };
    const { files } = await inFolder(request, (place) => readContent(place, environment));
    return files.map(({ workflow }) => workflow);
  }

  async #update({ args, environment = {} }: PulumiCall): Promise<string> {
    this.parts.push("up");
    this.#pass(this.upSeconds);
    const value = (flag: string) => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined);
    const configFile = value("--config-file");
    this.applied = configFile === undefined ? this.settings : readFileSync(configFile, "utf8");
    const { config } = parse(this.applied) as {
      config: { "technicia:images": Record<string, string>; "technicia:workflows"?: { enabled?: boolean } };
    };
    const images = config["technicia:images"];
    const answer = await this.up(images, environment);
    if (answer === undefined || answer.changed) {
      this.workflows = await this.#declaredWorkflows(config["technicia:workflows"]);
      this.images = Object.fromEntries(
        Object.entries(images).flatMap(([name, image]) =>
          this.off.has(name) ? [] : [[name, pulled(image)]],
        ),
      );
    }
    writeFileSync(
      value("--event-log")!,
      [
        JSON.stringify({ resourcePreEvent: { metadata: stepOf("n8n"), planning: true } }),
        ...(this.recorded === undefined ? [] : [asUpdate(this.recorded)]),
        ...(answer?.changed === false
          ? []
          : [JSON.stringify({ resourcePreEvent: { metadata: stepOf(answer?.service ?? "vector-store") } })]),
      ].join("\n"),
    );
    if (answer) {
      const stderr = `error: ${answer.error}\n`;
      throw new PulumiFailure(`pulumi up failed: ${stderr}`, { stdout: "", stderr });
    }
    this.deployed = true;
    return "";
  }
}

/** The steps that a preview foresaw, as the update tells of them. */
function asUpdate(recorded: string): string {
  const file = new URL(`../preview/recorded/${recorded}.events.jsonl.gz`, import.meta.url);
  return gunzipSync(readFileSync(file)).toString("utf8").trim().replaceAll(',"planning":true', "");
}

function outputs(): unknown {
  const environment = environmentWith();
  return {
    deploymentStatus: describeStatus(environment, deploymentFacts()),
    url: "https://technicia.exemple.fr",
    ipv4: "203.0.113.10",
    ipv6: "2001:db8:113::10",
    ...describeAccess(environment, "203.0.113.10", "ssh-ed25519 AAAA"),
  };
}
