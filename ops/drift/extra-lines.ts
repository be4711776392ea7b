/** Lines that an exclusive set (`infra/scripts/extra-*.sh`) has too many: what removing each does, and what dates it. */
import { DOCKER_IS_DOWN, type Effect, type SinceQuestion } from "../../stacks/resource-kinds.ts";

interface ExtraLine extends Effect {
  readonly begins: RegExp;

  /** What dates the line, where it is not the path at its end. */
  readonly dated?: Dating;

  /** Whether somebody may be inside: an account, a rule for root, a port. */
  readonly isHostile?: true;
}

const ALL_CONTAINERS = "everything is down while dockerd and then each service restart, about a minute";

type Dating = readonly [pattern: RegExp, question: (name: string) => SinceQuestion];

const PATH_AT_END: Dating = [/ (\/\S+)$/, (path) => ["file", path]];

/** First match decides. */
const LINES: readonly ExtraLine[] = [
  {
    begins: new RegExp(`^${DOCKER_IS_DOWN}`),
    repair: "dockerd is started by its own unit; this set is compared again afterwards",
    interruption: ALL_CONTAINERS,
  },
  {
    begins: /^service /,
    repair: "the service is removed with its tasks",
    dated: [/^service (\S+) of /, (name) => ["service", name]],
  },
  {
    begins: /^container /,
    repair: "it is removed; volumes are kept",
    dated: [/^container (\S+) of /, (name) => ["container", name]],
  },
  { begins: /^(network|secret|config) /, repair: "it is removed; volumes are kept" },
  {
    begins: /^account /,
    repair: "its processes are killed and the account is removed; its home folder is kept",
    dated: [/^account (\S+)/, () => ["file", "/etc/passwd"]],
    isHostile: true,
  },
  {
    begins: /^member /,
    repair: "it is removed from the group",
    dated: [/^member (\S+)/, () => ["file", "/etc/group"]],
    isHostile: true,
  },
  { begins: /^key /, repair: "the line is removed from the file", isHostile: true },
  { begins: /^sudo rule /, repair: "the rule is removed from the file", isHostile: true },
  {
    begins: /^sshd setting /,
    repair: "foreign files in sshd_config.d are removed and sshd reloads its settings; sessions continue",
    isHostile: true,
  },
  {
    begins: /^override \S*\/docker\.service\.d\//,
    repair: "the override is removed; dockerd restarts if it runs under it",
    interruption: ALL_CONTAINERS,
  },
  {
    begins: /^override /,
    repair: "the override is removed",
    interruption: "its unit restarts if it runs under it",
  },
  {
    begins: /^transient timer /,
    repair: "it is stopped, disabled and removed",
    dated: [/^transient timer (\S+)$/, (name) => ["unit", name]],
  },
  { begins: /^(timer|unit) /, repair: "it is stopped, disabled and removed" },
  { begins: /^mask /, repair: "the mask is removed; the unit starts when it is next due" },
  {
    begins: /^edited file of a package \S*docker/,
    repair: "the package is reinstalled",
    interruption: ALL_CONTAINERS,
  },
  { begins: /^edited file of a package /, repair: "the package is reinstalled, which restores its file" },
  { begins: /^kernel setting /, repair: "the value is written back" },
  {
    begins: /^listener /,
    repair: "the listening process is stopped and its unit disabled",
    dated: [/^listener \S+ \S*?:(\d+) /, (port) => ["process", port]],
    isHostile: true,
  },
  { begins: /^(rule|chain|table) /, repair: "it is removed from the kernel's rules", isHostile: true },
];

export function effectOfExtra(line: string): Effect {
  const { repair, interruption } = find(line);
  return { repair, ...(interruption === undefined ? {} : { interruption }) };
}

export function sinceOfExtra(line: string): SinceQuestion | undefined {
  for (const [pattern, question] of [find(line).dated ?? PATH_AT_END, PATH_AT_END]) {
    const [, name] = pattern.exec(line) ?? [];
    if (name !== undefined) return question(name);
  }
  return undefined;
}

export function isHostile(line: string): boolean {
  return find(line).isHostile === true;
}

function find(line: string): Omit<ExtraLine, "begins"> {
  return LINES.find(({ begins }) => begins.test(line)) ?? { repair: "it is removed" };
}
