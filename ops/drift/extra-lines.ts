/** Lines that an exclusive set (`infra/scripts/extra-*.sh`) has too many: what removing each does, and what dates it. */
import { shellQuote } from "../../common/shell-quote.ts";
import { DOCKER_IS_DOWN, type Effect, type SinceQuestion } from "../../stacks/resource-kinds.ts";

interface ExtraLine extends Omit<Effect, "repair"> {
  readonly begins: RegExp;

  /** A function of the line where it names what to type. */
  readonly repair: string | ((line: string) => string);

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
    begins: /^service \S+: \S+ (has|is|lacks) /,
    repair: "the service is set as declared; Docker replaces its task",
    interruption: "a service that owns data is down while its task is replaced, some seconds to a minute",
    dated: [/^service (\S+): /, (name) => ["service", name]],
    isHostile: true,
  },
  { begins: /^secret \S+: /, repair: "its labels are set as declared" },
  { begins: /^node /, repair: "the node is removed from the Swarm", isHostile: true },
  { begins: /^swarm: /, repair: "the Swarm's settings are set as declared" },
  {
    begins: /^volume /,
    repair: (line) =>
      `nothing automatic: it may hold somebody's data; look at it with sudo docker volume inspect ${line.split(" ")[1] ?? ""} and remove it with sudo docker volume rm`,
    dated: [/^volume (\S+)/, () => ["file", "/var/lib/docker/volumes"]],
    byHand: true,
  },
  {
    begins: /^plugin /,
    repair: (line) =>
      `nothing automatic: look at it with sudo docker plugin inspect ${line.split(" ")[1] ?? ""} and remove it with sudo docker plugin rm --force`,
    byHand: true,
    isHostile: true,
  },
  {
    begins: /^(collection|alias) /,
    repair: (line) => {
      const [kind = "", name = ""] = line.split(" ");
      const remove =
        kind === "alias"
          ? `delete the alias ${name} through POST http://127.0.0.1:6333/collections/aliases`
          : `delete it with curl --request DELETE --header 'api-key: <qdrantApiKey>' http://127.0.0.1:6333/collections/${name} on the server`;
      return `nothing automatic: it may hold somebody's data; ${remove}, or name it in technicia:services.qdrant.otherCollections if workflows use it`;
    },
    byHand: true,
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
    begins: /^(account|group) \S+ of no package/,
    repair: (line) => {
      const [kind = "", name = ""] = line.split(" ");
      return `nothing automatic: look at who made it (sudo getent ${kind === "group" ? "group" : "passwd"} ${name}); remove it with sudo ${kind === "group" ? "groupdel" : "userdel"} ${name}`;
    },
    dated: [/^(account|group) /, (kind) => ["file", kind === "group" ? "/etc/group" : "/etc/passwd"]],
    byHand: true,
    isHostile: true,
  },
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
  { begins: /^sudo file /, repair: "the file is removed", isHostile: true },
  {
    begins: /^sshd file /,
    repair: "the file is removed and sshd reloads its settings; sessions continue",
    isHostile: true,
  },
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
  {
    begins: /^stray (file|link) /,
    repair: (line) => {
      const path = pathOf(line);
      return `nothing automatic: look at it (sudo cat ${path}); remove it with sudo rm ${path}, or name it in technicia:server.files if it is yours`;
    },
    byHand: true,
    isHostile: true,
  },
  {
    begins: /^changed file /,
    repair: (line) => {
      const path = pathOf(line);
      return `nothing automatic: get its package's own back with sudo mv ${path} ${path}.changed && sudo apt-get install --reinstall -o Dpkg::Options::=--force-confmiss $(dpkg --search ${path} | cut -d: -f1), or name it in technicia:server.files if the change is yours`;
    },
    byHand: true,
    isHostile: true,
  },
  {
    begins: /^(setuid or setgid|capability) file /,
    repair: (line) => {
      const path = pathOf(line);
      const command = line.startsWith("capability") ? `setcap -r ${path}` : `chmod ug-s ${path}`;
      return `nothing automatic: look at it (sudo ls -l ${path}); take its rights away with sudo ${command}`;
    },
    byHand: true,
    isHostile: true,
  },
  {
    begins: /^file of (mode \S+, which everybody|\S+, who is not root)/,
    repair: (line) => {
      const path = pathOf(line);
      return `nothing automatic: look at it, then sudo chown root ${path} && sudo chmod o-w ${path}`;
    },
    byHand: true,
  },
  {
    begins: /^(secret of mode|file of \S+ and mode) /,
    repair: "owner and mode are set back",
  },
  {
    begins: /^renewal of the certificate /,
    repair:
      "nothing automatic: have it written anew with sudo bash -c 'ADDRESS=<the server's IPv4 address> /opt/technicia/bin/certificate renew --force'",
    dated: [/^renewal of the certificate /, () => ["file", "/opt/technicia/letsencrypt/renewal"]],
    byHand: true,
  },
  { begins: /^(rule|chain|table) /, repair: "it is removed from the kernel's rules", isHostile: true },
];

export function effectOfExtra(line: string): Effect {
  const { repair, interruption, byHand } = find(line);
  return {
    repair: typeof repair === "string" ? repair : repair(line),
    ...(interruption === undefined ? {} : { interruption }),
    ...(byHand === undefined ? {} : { byHand }),
  };
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

/** The path that ends the line, as a word of the shell. */
function pathOf(line: string): string {
  const [path = ""] = /\/.*$/.exec(line) ?? [];
  return /^[\w./@:+-]+$/.test(path) ? path : shellQuote(path);
}
