/** One rule of the edge firewall, in the form that the program writes: what is absent is any. */
export interface EdgeRule {
  readonly sequence: number;
  readonly action: "permit" | "deny";
  readonly protocol: string;
  readonly port?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly source?: string | undefined;
  readonly tcpOption?: "established" | undefined;
  /** What OVH holds beyond what we ever write; never equal to a rule of ours. */
  readonly foreign?: string | undefined;
}

/** One thing to do to a firewall. */
export type Step =
  { readonly kind: "add"; readonly rule: EdgeRule } | { readonly kind: "remove"; readonly sequence: number };

/** A packet, as far as rules tell packets apart. */
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
 * The steps from one list to another, such that no packet which both lists permit is dropped after any of them.
 *
 * Sequences that stay in use by another rule are the difficulty: OVH cannot change a rule, only remove and add. Where that would drop
 * something for a moment, all denies are lifted first and come back last; without a deny OVH lets everything through.
 */
export function planChanges(current: readonly EdgeRule[], wanted: readonly EdgeRule[]): readonly Step[] {
  const direct = plan(
    current,
    wanted,
    current.filter((rule) => !wanted.some((other) => isSameRule(rule, other))),
  );
  // Which packets a foreign rule is about is not known here; with every deny lifted it does not matter.
  const isKnown = current.every(({ foreign }) => foreign === undefined);
  if (isKnown && keepsOpen(current, wanted, direct)) return direct;
  const lifted = current.filter((rule) => isDeny(rule) || !wanted.some((other) => isSameRule(rule, other)));
  return plan(current, wanted, lifted);
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

function plan(
  current: readonly EdgeRule[],
  wanted: readonly EdgeRule[],
  leaving: readonly EdgeRule[],
): readonly Step[] {
  const staying = current.filter((rule) => !leaving.includes(rule));
  const coming = wanted.filter((rule) => !staying.some((other) => isSameRule(rule, other)));
  const isFree = ({ sequence }: EdgeRule): boolean =>
    !current.some((rule) => rule.sequence === sequence && !(isDeny(rule) && leaving.includes(rule)));
  const permits = coming.filter((rule) => !isDeny(rule));
  return [
    ...leaving.filter(isDeny).map(removal),
    ...permits.filter(isFree).map(addition),
    ...leaving
      .filter((rule) => !isDeny(rule))
      .flatMap((rule) => {
        // A place taken over is filled at once.
        const successor = permits.find(({ sequence }) => sequence === rule.sequence);
        return [removal(rule), ...(successor ? [addition(successor)] : [])];
      }),
    ...coming.filter(isDeny).map(addition),
  ];
}

function removal({ sequence }: EdgeRule): Step {
  return { kind: "remove", sequence };
}

function addition(rule: EdgeRule): Step {
  return { kind: "add", rule };
}

function keepsOpen(
  current: readonly EdgeRule[],
  wanted: readonly EdgeRule[],
  steps: readonly Step[],
): boolean {
  let rules = inOrder(current);
  const goal = inOrder(wanted);
  const packets = telling([...rules, ...goal]).filter((packet) => lets(rules, packet) && lets(goal, packet));
  return steps.every((step) => {
    rules = applyStep(rules, step);
    return packets.every((packet) => lets(rules, packet));
  });
}

/** Whether a list in order lets a packet through. */
function lets(rules: readonly EdgeRule[], packet: Packet): boolean {
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

// One packet of each kind that these rules can tell apart: every value they name, and one that none names.
function telling(rules: readonly EdgeRule[]): readonly Packet[] {
  const protocols = new Set(["icmp", "tcp", "udp", ...rules.map(({ protocol }) => protocol)]);
  protocols.delete("ipv4");
  const ports = values(rules.map(({ port }) => port));
  const sourcePorts = values(rules.map(({ sourcePort }) => sourcePort));
  const sources = new Set([
    toNumber("192.0.2.1"),
    ...rules.flatMap(({ source }) => (source === undefined ? [] : ends(source))),
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

function values(named: readonly (number | undefined)[]): ReadonlySet<number> {
  const known = new Set(named.filter((port) => port !== undefined));
  let other = 1;
  while (known.has(other)) other += 1;
  return new Set([...known, other]);
}

const parsed = new Map<string, { readonly network: number; readonly bits: number }>();

/** Network and number of bits of a CIDR. */
export function parseCidr(cidr: string): { readonly network: number; readonly bits: number } {
  const [address = "", bits = "32"] = cidr.split("/");
  return { network: toNumber(address), bits: Number(bits) };
}

function contains(cidr: string, address: number): boolean {
  // Asked for every packet at every step.
  let known = parsed.get(cidr);
  if (!known) parsed.set(cidr, (known = parseCidr(cidr)));
  const { network, bits } = known;
  return network - (network % size(bits)) === address - (address % size(bits));
}

// The neighbours tell a network from a wider one around it.
function ends(cidr: string): readonly number[] {
  const { network, bits } = parseCidr(cidr);
  return [network - 1, network, network + size(bits) - 1, network + size(bits)].filter(
    (one) => one >= 0 && one < 2 ** 32,
  );
}

function size(bits: number): number {
  return 2 ** (32 - bits);
}

export function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
