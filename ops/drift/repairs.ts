/** What repairing a difference does, and what it interrupts. First match decides. */
import type { Difference } from "./differences.ts";

export interface Effect {
  readonly repair: string;
  /** Absent when nothing stops working. */
  readonly interruption?: string;
}

type Rule = readonly [
  matches: (difference: Difference) => boolean,
  effect: (difference: Difference) => Effect,
];

const ALL_CONTAINERS = "everything is away while dockerd and then each service start again, about a minute";

const RULES: readonly Rule[] = [
  // Exclusive sets.
  [
    extra(/^docker does not answer/),
    () => ({
      repair: "dockerd is started by its own unit; this set is compared again after it",
      interruption: ALL_CONTAINERS,
    }),
  ],
  [extra(/^service /), () => ({ repair: "the service is removed with its tasks" })],
  [extra(/^(container|network|secret|config) /), () => ({ repair: "it is removed; volumes stay" })],
  [
    extra(/^account /),
    () => ({ repair: "its processes are killed and the account is removed; its home folder stays" }),
  ],
  [extra(/^member /), () => ({ repair: "it is taken out of the group" })],
  [extra(/^key /), () => ({ repair: "the line is taken out of the file" })],
  [extra(/^sudo rule /), () => ({ repair: "the rule is taken out of the file" })],
  [
    extra(/^sshd setting /),
    () => ({
      repair: "foreign files of sshd_config.d are removed and sshd reads its settings again; sessions go on",
    }),
  ],
  [
    extra(/^override \S*\/docker\.service\.d\//),
    () => ({
      repair: "the override is removed; dockerd restarts if it runs under it",
      interruption: ALL_CONTAINERS,
    }),
  ],
  [
    extra(/^override /),
    () => ({ repair: "the override is removed", interruption: "its unit restarts if it runs under it" }),
  ],
  [extra(/^(timer|unit|transient timer) /), () => ({ repair: "it is stopped, disabled and removed" })],
  [extra(/^mask /), () => ({ repair: "the mask is taken away; the unit starts when next due" })],
  [
    extra(/^edited file of a package \S*docker/),
    () => ({ repair: "the package is installed again", interruption: ALL_CONTAINERS }),
  ],
  [
    extra(/^edited file of a package /),
    () => ({ repair: "the package is installed again, which brings its own file back" }),
  ],
  [extra(/^kernel setting /), () => ({ repair: "the value is written back" })],
  [extra(/^listener /), () => ({ repair: "what listens is stopped, and its unit disabled" })],
  [extra(/^(rule|chain|table) /), () => ({ repair: "it is taken out of the kernel's rules" })],
  [extra(/./), () => ({ repair: "it is removed" })],

  // Cloud and names.
  [
    type(/^technicia:ovh:EdgeFirewall$/),
    () => ({ repair: "the rules are set at OVH one by one, ours before theirs go" }),
  ],
  [
    type(/^technicia:ovh:Vps$/),
    ({ kind }) =>
      kind === "gone"
        ? {
            repair: "nothing by itself: OVH has no such server any more; see docs/runbook.md",
            interruption: "everything, until the server is back",
          }
        : { repair: "what OVH lets change is set again, such as the name shown; the rest needs a person" },
  ],
  [type(/Reverse$/), () => ({ repair: "the reverse name is set again at OVH" })],
  [
    type(/DnsRecord$|ZoneRecord$/),
    () => ({
      repair: "the record is put back; resolvers keep the wrong answer until its time to live is over",
    }),
  ],

  // Host.
  [
    file(/^\/etc\/docker\/daemon\.json$/),
    () => ({ repair: "the file is put back and dockerd restarts", interruption: ALL_CONTAINERS }),
  ],
  [
    file(/\/nginx\.conf$/),
    () => ({
      repair: "the file is put back, checked, and nginx reads it again without dropping a connection",
    }),
  ],
  [
    file(/\/sshd_config\.d\//),
    () => ({ repair: "the file is put back and sshd reads it again; sessions go on" }),
  ],
  [
    file(/\/firewall\.nft$/),
    () => ({ repair: "the file is put back and the table is loaded in one transaction" }),
  ],
  [file(/^\/etc\/systemd\/system\//), () => ({ repair: "the unit file is put back" })],
  [file(/./), () => ({ repair: "the file is put back" })],
  [
    unit(/^docker\.service$/),
    () => ({
      repair: "dockerd is started and enabled",
      interruption: "services are away already, and come back within a minute",
    }),
  ],
  [
    unit(/./),
    ({ inputs }) => ({
      repair: `${String(inputs["unit"])} is ${inputs["active"] === true ? "started and enabled" : "stopped and disabled"}`,
    }),
  ],
  [type(/^technicia:host:Packages$/), () => ({ repair: "the packages are installed again" })],
  [type(/^technicia:host:Image$/), () => ({ repair: "the image is pulled again" })],
  [
    type(/^technicia:host:HostKey$/),
    () => ({
      repair: "nothing by itself: a server with another key may be another server; see docs/runbook.md",
    }),
  ],
  [state(/firewall-loaded$/), () => ({ repair: "the table is loaded from its file in one transaction" })],
  [
    state(/-swarm$/),
    () => ({
      repair: "the Swarm is made again, and every network, secret and service with it",
      interruption: "everything, for some minutes",
    }),
  ],
  [
    state(/^qdrant-collection/),
    ({ found }) => ({
      repair: found.includes("not there")
        ? "the collection is made again, empty: documents have to be taken in again"
        : "missing indexes are made again; searches go on",
    }),
  ],
  [state(/owner$/), () => ({ repair: "the owner's account is set up again" })],
  [
    state(/^certificate/),
    () => ({
      repair:
        "the certificate is installed again, or asked of the authority, and nginx reads it without dropping a connection",
    }),
  ],

  // Containers.
  [
    type(/^docker:index\/volume:/),
    () => ({
      repair: "an empty volume is made: what the old one held comes back from a backup only",
      interruption: "the service that uses it starts again without its data",
    }),
  ],
  [
    type(/^docker:index\/network:/),
    () => ({
      repair: "the network is made again, and what is attached to it is made again too",
      interruption: "every service on it is away while it starts, about a minute",
    }),
  ],
  [
    type(/^docker:index\/secret:/),
    () => ({
      repair: "the secret is made again under another name, and its service is rolled over to it",
      interruption: "a service that owns data is away while its task is replaced, some seconds",
    }),
  ],
  [
    type(/^docker:index\/container:/),
    ({ resource }) => ({
      repair: "the container is started, or made again",
      interruption: `${resource}: tunnels to n8n's editor and to Qdrant break off for some seconds`,
    }),
  ],
  [type(/^docker:index\/service:/), service],
];

export function effectOf(difference: Difference): Effect {
  const rule = RULES.find(([matches]) => matches(difference));
  return rule?.[1](difference) ?? { repair: "it is made as it was deployed" };
}

function service({ kind, inputs }: Difference): Effect {
  const name = typeof inputs["name"] === "string" ? inputs["name"] : "the service";
  if (kind === "gone") {
    return {
      repair: "the service is made again",
      interruption: `${name} is away already, until its task is healthy`,
    };
  }
  const { order } = (inputs["updateConfig"] ?? {}) as { readonly order?: unknown };
  return order === "stop-first"
    ? {
        repair: "Docker replaces the task",
        interruption: `${name} is away while its task is replaced, some seconds to a minute`,
      }
    : { repair: "Docker starts a task as deployed, and stops the other once it is healthy" };
}

function extra(pattern: RegExp) {
  return ({ kind, what }: Difference) => kind === "extra" && pattern.test(what);
}

function type(pattern: RegExp) {
  return (difference: Difference) => pattern.test(difference.type);
}

function file(pattern: RegExp) {
  return ({ type: of, inputs }: Difference) =>
    of === "technicia:host:File" && pattern.test(String(inputs["path"]));
}

function unit(pattern: RegExp) {
  return ({ type: of, inputs }: Difference) =>
    of === "technicia:host:Unit" && pattern.test(String(inputs["unit"]));
}

function state(pattern: RegExp) {
  return ({ type: of, resource }: Difference) => of === "technicia:host:State" && pattern.test(resource);
}
