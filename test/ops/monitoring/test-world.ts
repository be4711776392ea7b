/** What the commands of the monitoring reach in a test: a folder as the server, on which the real scripts run. */
import type { Server } from "../../../ops/server/connection.ts";
import { readHistory } from "../../../ops/server/records.ts";
import type { Addresses } from "../../../ops/monitoring/stores.ts";
import type { MonitoringWorld } from "../../../ops/monitoring/world.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { environmentWith, validSettings, type Settings } from "../../support/fixtures.ts";
import { outputsOf } from "../checks/fixtures.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";

export class TestWorld implements AsyncDisposable {
  readonly server: LocalServer;
  readonly said: string[] = [];
  readonly printed: string[] = [];
  readonly asked: string[] = [];

  /** `technicia:monitoring` of the stack `test`; that of another one is on. */
  monitoring: Settings = { enabled: true };

  /** `technicia:servers` of the stack `test`, in place of an only server. */
  servers: readonly object[] | undefined;

  /** Secret's name → value. */
  secrets: Readonly<Record<string, string>> | undefined = {};

  /** What the person at the terminal types; undefined: there is no terminal. */
  answer: ((question: string) => string) | undefined;
  now = () => new Date("2026-11-24T10:00:00Z");
  isTerminal = false;
  pause: MonitoringWorld["pause"] = () => Promise.resolve();
  readonly stop = new AbortController();
  readonly #addresses: Addresses;

  private constructor(server: LocalServer, addresses: Addresses) {
    this.server = server;
    this.#addresses = addresses;
  }

  static async open(addresses: Addresses): Promise<TestWorld> {
    return new TestWorld(await startLocalServer(), addresses);
  }

  get world(): MonitoringWorld {
    const { pulumi } = fakePulumi((args) => this.#pulumi(args));
    const server: Server = this.server;
    return {
      ...{ pulumi, openServer: () => server, identity: { who: "alice@laptop", run: "", process: 1 } },
      ...{ addresses: this.#addresses, isTerminal: this.isTerminal, signal: this.stop.signal },
      git: () => Promise.reject(new Error("no git")),
      now: () => this.now(),
      every: () => () => undefined,
      pause: (seconds) => this.pause(seconds),
      isAlive: () => true,
      say: (line) => void this.said.push(line),
      print: (line) => void this.printed.push(line),
      confirm: () => Promise.reject(new Error("no question")),
      ask: (question) => {
        this.asked.push(question);
        return Promise.resolve(this.answer?.(question));
      },
      openIncident: () => Promise.reject(new Error("no incident")),
    };
  }

  async history(): Promise<readonly string[]> {
    const { events } = await readHistory(this.server);
    return events.map(
      ({ action, detail, reason }) => `${action}: ${detail}${reason === "" ? "" : ` (${reason})`}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  #pulumi(args: readonly string[]) {
    if (args[0] === "config") {
      if (args.includes("--show-secrets") && this.secrets === undefined)
        return { stderr: "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE" };
      return { stdout: JSON.stringify(this.#configuration(args.at(args.indexOf("--stack") + 1)!)) };
    }
    if (args[1] === "export") return { stdout: JSON.stringify({ deployment: { resources: [] } }) };
    return { stdout: JSON.stringify(outputsOf(environmentWith())) };
  }

  #configuration(stack: string): Record<string, unknown> {
    const monitoring = stack === "test" ? this.monitoring : { enabled: true };
    const { server, ...valid } = validSettings();
    const shared = { ...(server as Settings), serviceName: undefined };
    const given = this.servers === undefined ? { server } : { server: shared, servers: this.servers };
    const settings = Object.entries({ ...valid, ...given, monitoring });
    return Object.fromEntries([
      ...settings.map(([key, value]) => [
        `technicia:${key}`,
        { secret: false, value: typeof value === "string" ? value : JSON.stringify(value) },
      ]),
      ...Object.entries(this.secrets ?? {}).map(([key, value]) => [
        `technicia:${key}`,
        { secret: true, value },
      ]),
    ]) as Record<string, unknown>;
  }
}
