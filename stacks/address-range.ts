import { isIPv4, isIPv6 } from "node:net";

export type Family = "v4" | "v6";

// Wider than any network that one organisation administers from.
const WIDEST_PREFIX = { v4: 8, v6: 16 } as const;
const BITS = { v4: 32, v6: 128 } as const;

/** What is wrong with an address range (CIDR) that may enter; nothing when it is right. */
export function rangeProblem(text: string, family?: Family): string | undefined {
  const [address = "", prefix, ...rest] = text.split("/");
  const found: Family | undefined = isIPv4(address)
    ? "v4"
    : isIPv6(address) && !address.includes("%")
      ? "v6"
      : undefined;
  const wanted = family === "v4" ? "an IPv4 range" : family === "v6" ? "an IPv6 range" : "an address range";
  const example = (family ?? found) === "v6" ? "2001:db8:1::/48" : "198.51.100.7/32";
  if (!found || rest.length > 0 || (family && found !== family))
    return `expected ${wanted} such as ${example}`;
  if (prefix === undefined)
    return `expected ${wanted} with its length, for one address "${address}/${BITS[found]}"`;
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > BITS[found]) {
    return `expected ${wanted} with a length from ${WIDEST_PREFIX[found]} to ${BITS[found]}`;
  }
  if (Number(prefix) < WIDEST_PREFIX[found]) {
    return `expected ${wanted} no wider than /${WIDEST_PREFIX[found]}, because a wider one lets the whole internet try`;
  }
  const first = firstAddress(address, Number(prefix), found);
  if (toBits(address, found) !== toBits(first, found)) {
    return `expected the first address of the range, "${first}/${prefix}"`;
  }
  return undefined;
}

function toBits(address: string, family: Family): bigint {
  return family === "v4"
    ? groupsToBits(address.split(".").map(Number), 8n)
    : groupsToBits(ipv6Groups(address), 16n);
}

function groupsToBits(groups: readonly number[], width: bigint): bigint {
  return groups.reduce((bits, group) => (bits << width) | BigInt(group), 0n);
}

function ipv6Groups(address: string): number[] {
  // The URL parser writes every IPv6 address in its one canonical form, dotted tails included.
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const read = (part: string) => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  if (tail === undefined) return read(head);
  const known = [read(head), read(tail)] as const;
  return [...known[0], ...Array<number>(8 - known[0].length - known[1].length).fill(0), ...known[1]];
}

function firstAddress(address: string, prefix: number, family: Family): string {
  const hostBits = BigInt(BITS[family] - prefix);
  const bits = (toBits(address, family) >> hostBits) << hostBits;
  if (family === "v4") return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
