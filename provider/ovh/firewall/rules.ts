/** One rule of the edge firewall as the program writes it; a condition that is absent matches everything. */
export interface EdgeRule {
  readonly sequence: number;
  readonly action: "permit" | "deny";
  readonly protocol: string;
  readonly port?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly source?: string | undefined;
  readonly tcpOption?: "established" | undefined;
  /** Conditions at OVH that the program never writes; such a rule equals none of the program's. */
  readonly foreign?: string | undefined;
}

/** One thing to do to a firewall. */
export type Step =
  { readonly kind: "add"; readonly rule: EdgeRule } | { readonly kind: "remove"; readonly sequence: number };

/** The properties of a packet that rules can look at. */
interface Packet {
  readonly protocol: string;
  readonly source: number;
  readonly port: number;
  readonly sourcePort: number;
  readonly isEstablished: boolean;
}

export const MOST_RULES = 20;

const FIELDS = ["action", "protocol", "port", "sourcePort", "source", "tcpOption", "foreign"] as const;

export function isSameRule(a: EdgeRule, b: EdgeRule): boolean {
  return a.sequence === b.sequence && FIELDS.every((field) => a[field] === b[field]);
}

/**
 * The steps from one list to another. After each of them, every packet that both lists permit still passes.
 *
 * OVH cannot change a rule, only remove and add one. That is difficult where another rule takes over a sequence: the packets of the old rule
 * may be dropped in between. All denies are then removed first and added last, because OVH lets everything pass without a deny.
 */
export function planChanges(current: readonly EdgeRule[], wanted: readonly EdgeRule[]): readonly Step[] {
  const isUnwanted = (rule: EdgeRule): boolean => !wanted.some((other) => isSameRule(rule, other));
  const direct = replace({ current, wanted }, current.filter(isUnwanted));
  // Nobody knows here which packets a foreign rule matches. Without any deny it does not matter.
  const isKnown = current.every(({ foreign }) => foreign === undefined);
  if (isKnown && keepsSharedTrafficOpen({ current, wanted }, direct)) return direct;
  const removed = current.filter((rule) => isDeny(rule) || isUnwanted(rule));
  return replace({ current, wanted }, removed);
}

/** The list after one step. */
export function applyStep(rules: readonly EdgeRule[], step: Step): readonly EdgeRule[] {
  if (step.kind === "remove") return rules.filter(({ sequence }) => sequence !== step.sequence);
  return inOrder([...rules, step.rule]);
}

function inOrder(rules: readonly EdgeRule[]): readonly EdgeRule[] {
  return [...rules].sort((a, b) => a.sequence - b.sequence);
}

function isDeny({ action }: EdgeRule): boolean {
  return action === "deny";
}

interface Plan {
  readonly current: readonly EdgeRule[];
  readonly wanted: readonly EdgeRule[];
}

// Removes denies first and adds them last, so that what is permitted only grows in between.
function replace({ current, wanted }: Plan, removed: readonly EdgeRule[]): readonly Step[] {
  const kept = current.filter((rule) => !removed.includes(rule));
  const added = wanted.filter((rule) => !kept.some((other) => isSameRule(rule, other)));
  const isFree = ({ sequence }: EdgeRule): boolean =>
    !current.some((rule) => rule.sequence === sequence && !(isDeny(rule) && removed.includes(rule)));
  const newPermits = added.filter((rule) => !isDeny(rule));
  return [
    ...removed.filter(isDeny).map(removal),
    ...newPermits.filter(isFree).map(addition),
    ...removed
      .filter((rule) => !isDeny(rule))
      .flatMap((rule) => {
        // A sequence that another rule takes over is filled immediately.
        const successor = newPermits.find(({ sequence }) => sequence === rule.sequence);
        return [removal(rule), ...(successor ? [addition(successor)] : [])];
      }),
    ...added.filter(isDeny).map(addition),
  ];
}

const removal = ({ sequence }: EdgeRule): Step => ({ kind: "remove", sequence });
const addition = (rule: EdgeRule): Step => ({ kind: "add", rule });

/** Whether each packet that both lists permit passes after every step. */
function keepsSharedTrafficOpen({ current, wanted }: Plan, steps: readonly Step[]): boolean {
  let rules = inOrder(current);
  const goal = inOrder(wanted);
  const packets = distinguishablePackets([...rules, ...goal]).filter(
    (packet) => permits(rules, packet) && permits(goal, packet),
  );
  return steps.every((step) => {
    rules = applyStep(rules, step);
    return packets.every((packet) => permits(rules, packet));
  });
}

/** Whether a list in order permits a packet. */
function permits(rules: readonly EdgeRule[], packet: Packet): boolean {
  return rules.find((rule) => matches(rule, packet))?.action !== "deny";
}

function matches(rule: EdgeRule, packet: Packet): boolean {
  const { protocol, port, sourcePort, source, tcpOption } = rule;
  return (
    (protocol === "ipv4" || protocol === packet.protocol) &&
    (port === undefined || port === packet.port) &&
    (sourcePort === undefined || sourcePort === packet.sourcePort) &&
    (source === undefined || contains(source, packet.source)) &&
    (tcpOption === undefined || packet.isEstablished)
  );
}

// One packet of each kind that these rules treat differently: every value that they name, and one that none of them names.
function distinguishablePackets(rules: readonly EdgeRule[]): readonly Packet[] {
  const protocols = new Set(["icmp", "tcp", "udp", ...rules.map(({ protocol }) => protocol)]);
  protocols.delete("ipv4");
  const ports = valuesAndOneOther(rules.map(({ port }) => port));
  const sourcePorts = valuesAndOneOther(rules.map(({ sourcePort }) => sourcePort));
  const sources = new Set([
    toNumber("192.0.2.1"),
    ...rules.flatMap(({ source }) => (source === undefined ? [] : rangeEnds(source))),
  ]);
  const packets: Packet[] = [];
  for (const protocol of protocols) {
    const hasPorts = protocol === "tcp" || protocol === "udp";
    for (const source of sources) {
      for (const port of hasPorts ? ports : [0]) {
        for (const sourcePort of hasPorts ? sourcePorts : [0]) {
          for (const isEstablished of protocol === "tcp" ? [false, true] : [false]) {
            packets.push({ protocol, source, port, sourcePort, isEstablished });
          }
        }
      }
    }
  }
  return packets;
}

function valuesAndOneOther(named: readonly (number | undefined)[]): ReadonlySet<number> {
  const known = new Set(named.filter((port) => port !== undefined));
  let other = 1;
  while (known.has(other)) other += 1;
  return new Set([...known, other]);
}

const parsed = new Map<string, ReturnType<typeof parseCidr>>();

/** Network and number of bits of a CIDR. */
export function parseCidr(cidr: string): { readonly network: number; readonly bits: number } {
  const [address = "", bits = "32"] = cidr.split("/");
  return { network: toNumber(address), bits: Number(bits) };
}

function contains(cidr: string, address: number): boolean {
  // Every packet is tested after every step, so each network is parsed once.
  let known = parsed.get(cidr);
  if (!known) parsed.set(cidr, (known = parseCidr(cidr)));
  const { network, bits } = known;
  return network - (network % size(bits)) === address - (address % size(bits));
}

// First and last address, and their neighbours outside, which distinguish a network from a wider one around it.
function rangeEnds(cidr: string): readonly number[] {
  const { network, bits } = parseCidr(cidr);
  return [network - 1, network, network + size(bits) - 1, network + size(bits)].filter(
    (one) => one >= 0 && one < 2 ** 32,
  );
}

function size(bits: number): number {
  return 2 ** (32 - bits);
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
