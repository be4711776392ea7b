/** Upgrades and reboots that wait for a maintenance, because nothing does them by itself. */
import { script } from "../../common/script.ts";
import type { Server, ServerCommand } from "../server/connection.ts";

const PATCHES = script(new URL("patches.sh", import.meta.url));

export interface Upgrade {
  readonly package: string;
  readonly installed: string;
  readonly available: string;
}

export interface Patches {
  /** Security updates that the daily upgrade has left behind. */
  readonly security: readonly Upgrade[];

  /** Upgrades of Docker, which the daily upgrade leaves alone. */
  readonly engine: readonly Upgrade[];

  /** Everything that a maintenance installs, the two above included. */
  readonly upgrades: readonly Upgrade[];

  /** Why the server has to be rebooted; undefined when it has not. */
  readonly reboot: string | undefined;
}

/** Reads what apt knows on the server; its lists are a day old at most, where the daily update works. */
export async function readPatches(
  server: Pick<Server, "run">,
  options: Pick<ServerCommand, "timeoutSeconds"> = {},
): Promise<Patches> {
  const { stdout } = await server.run({ ...options, purpose: "look for pending upgrades", script: PATCHES });
  const rows = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
  const upgradesOf = (kind: string) =>
    rows
      .filter(([found]) => found === kind)
      .map(([, name = "", installed = "", available = ""]) => ({ package: name, installed, available }));
  return {
    security: upgradesOf("security"),
    engine: upgradesOf("engine"),
    upgrades: upgradesOf("upgrade"),
    reboot: rows.find(([kind]) => kind === "reboot")?.[1],
  };
}

export interface Pending {
  readonly what: "security updates" | "engine" | "reboot";
  readonly expected: string;
  readonly found: readonly string[];
}

/** What somebody has to do something about, one entry for each kind. */
export function pendingOf({ security, engine, reboot }: Patches): Pending[] {
  const pending: Pending[] = [
    { what: "security updates", expected: "none pending", found: security.map(renderUpgrade) },
    { what: "engine", expected: "the newest version of its source", found: engine.map(renderUpgrade) },
    { what: "reboot", expected: "not required", found: reboot === undefined ? [] : [reboot] },
  ];
  return pending.filter(({ found }) => found.length > 0);
}

export function renderUpgrade({ package: name, installed, available }: Upgrade): string {
  return `${name} ${installed} → ${available}`;
}
