/** Upgrades and reboots that wait for a maintenance, because nothing does them by itself. */
import { script } from "../../common/script.ts";
import type { Server, ServerCommand } from "./connection.ts";

const PATCHES = script(new URL("patches.sh", import.meta.url));

export interface Upgrade {
  readonly package: string;

  /** Empty for a package that comes with the upgrade of another, such as the next kernel. */
  readonly installed: string;
  readonly available: string;

  /** Why a maintenance does not install it: `apt-mark hold`, or another package would have to go. */
  readonly kept?: "held" | "removal";
}

export interface Patches {
  /** Security updates that the daily upgrade has left behind. */
  readonly security: readonly Upgrade[];

  /** Upgrades of Docker, which the daily upgrade leaves alone. */
  readonly engine: readonly Upgrade[];

  /** Everything that a maintenance installs. */
  readonly upgrades: readonly Upgrade[];

  /** Everything that it does not. */
  readonly kept: readonly Upgrade[];

  /** Why nothing can be installed before that is repaired, which a maintenance does; undefined when nothing is wrong. */
  readonly broken: string | undefined;

  /** Why the package lists say nothing of what came lately; undefined when they do. */
  readonly stale: string | undefined;

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
  const upgradesOf = (kind: string) => rows.filter(([found]) => found === kind).map(parseUpgrade);
  const reasonOf = (kind: string) => rows.find(([found]) => found === kind)?.[1];
  const all = upgradesOf("upgrade");
  return {
    security: upgradesOf("security"),
    engine: upgradesOf("engine"),
    upgrades: all.filter(({ kept }) => kept === undefined),
    kept: all.filter(({ kept }) => kept !== undefined),
    ...{ broken: reasonOf("broken"), stale: reasonOf("stale"), reboot: reasonOf("reboot") },
  };
}

function parseUpgrade([, name = "", installed = "", available = "", kept]: readonly string[]): Upgrade {
  const upgrade = { package: name, installed, available };
  return kept === "held" || kept === "removal" ? { ...upgrade, kept } : upgrade;
}

export interface Pending {
  readonly what: "packages" | "package lists" | "security updates" | "engine" | "reboot";
  readonly expected: string;
  readonly found: readonly string[];

  /** What a maintenance leaves to a person, and how to do it. */
  readonly byHand: readonly string[];
}

/** What somebody has to do something about, one entry for each kind. */
export function pendingOf({ security, engine, broken, stale, reboot }: Patches): Pending[] {
  const one = (reason: string | undefined) => (reason === undefined ? [] : [reason]);
  const pending = [
    { what: "packages", expected: "wholly installed", found: one(broken) },
    { what: "package lists", expected: "read every day", found: one(stale) },
    { what: "security updates", expected: "none pending", upgrades: security },
    { what: "engine", expected: "the newest version of its source", upgrades: engine },
    { what: "reboot", expected: "not required", found: one(reboot) },
  ] as const;
  return pending
    .map((entry) =>
      "upgrades" in entry
        ? {
            what: entry.what,
            expected: entry.expected,
            found: entry.upgrades.map(renderUpgrade),
            byHand: renderByHand(entry.upgrades),
          }
        : { ...entry, byHand: [] },
    )
    .filter(({ found }) => found.length > 0);
}

export function renderUpgrade({ package: name, installed, available, kept }: Upgrade): string {
  const change = installed === "" ? `${name} ${available} (new)` : `${name} ${installed} → ${available}`;
  return kept === "held" ? `${change} (held)` : kept === "removal" ? `${change} (kept back)` : change;
}

/** What a person types for the upgrades that a maintenance leaves alone. */
export function renderByHand(upgrades: readonly Upgrade[]): string[] {
  const named = (why: Upgrade["kept"]) =>
    upgrades.flatMap(({ package: name, kept }) => (kept === why ? [name] : [])).join(" ");
  const [held, removal] = [named("held"), named("removal")];
  return [
    ...(held === "" ? [] : [`release what is held, on the server: sudo apt-mark unhold ${held}`]),
    ...(removal === ""
      ? []
      : [`look at what would have to be removed, on the server: sudo apt-get install ${removal}`]),
  ];
}
