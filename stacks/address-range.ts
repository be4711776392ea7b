import { isIPv4, isIPv6 } from "node:net";

import ipaddr from "ipaddr.js";

export type Family = "v4" | "v6";

// Wider than any network that one organisation administers from.
const WIDEST_PREFIX = { v4: 8, v6: 16 } as const;
const BITS = { v4: 32, v6: 128 } as const;

/** Whether a range is wider than any network that one organisation administers from. */
export function isWide(range: string): boolean {
  const [address = "", prefix] = range.split("/");
  return prefix !== undefined && Number(prefix) < WIDEST_PREFIX[isIPv6(address) ? "v6" : "v4"];
}

/** What is wrong with a range that is wide, as `rangeProblem` says it; `wanted` is what is expected. */
export function widthProblem(range: string, wanted: string): string | undefined {
  if (!isWide(range)) return undefined;
  const widest = WIDEST_PREFIX[range.includes(":") ? "v6" : "v4"];
  return `expected ${wanted} no wider than /${widest}, because a wider one lets the whole internet try`;
}

/** What is wrong with an address range (CIDR) that may enter, as "expected …"; undefined when it is right. How wide it is counts elsewhere. */
export function rangeProblem(text: string, family?: Family): string | undefined {
  const [address = "", prefix, ...rest] = text.split("/");
  // Node's own tests are stricter than the library: no hexadecimal, octal or shortened IPv4 address.
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
  // nft would read a length that begins with 0 as octal.
  if (!/^(0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > BITS[found]) {
    return `expected ${wanted} with a length from ${WIDEST_PREFIX[found]} to ${BITS[found]}`;
  }
  const given = canonical(address, found);
  const { IPv4, IPv6 } = ipaddr;
  const first = (found === "v4" ? IPv4 : IPv6)
    .networkAddressFromCIDR(`${given}/${Number(prefix)}`)
    .toString();
  return given === first ? undefined : `expected the first address of the range, "${first}/${prefix}"`;
}

/** Addresses of Docker's networks on every server: the pool of its bridges, and the networks of the services behind it. */
const DOCKER_RANGE = { address: "172.30.0.0", prefix: 15 };

/** What is wrong with an address range that visitors may come from, as `rangeProblem` says it. */
export function visitorRangeProblem(text: string): string | undefined {
  const problem = rangeProblem(text) ?? widthProblem(text, "an address range");
  if (problem !== undefined) return problem;
  const [address = "", prefix] = text.split("/");
  if (isIPv6(address)) {
    return "expected an IPv4 range, because visitors come over IPv4 only: Docker would give all others one address";
  }
  const common = Math.min(Number(prefix), DOCKER_RANGE.prefix);
  const { IPv4 } = ipaddr;
  return IPv4.parse(address).match(IPv4.parse(DOCKER_RANGE.address), common)
    ? `expected a range without ${DOCKER_RANGE.address}/${DOCKER_RANGE.prefix}, which are the addresses of the server's own containers`
    : undefined;
}

// The library misreads `::192.0.2.1`; the URL parser writes every IPv6 address in its one canonical form.
function canonical(address: string, family: Family): string {
  return family === "v4" ? address : new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** What is wrong with the range of the tunnel between servers, as `rangeProblem` says it. */
export function tunnelRangeProblem(text: string): string | undefined {
  const wanted = "expected a private IPv4 range such as 10.86.0.0/16";
  const problem = rangeProblem(text, "v4");
  if (problem !== undefined) return problem;
  const [address = "", prefix] = text.split("/");
  const { IPv4 } = ipaddr;
  if (IPv4.parse(address).range() !== "private" || Number(prefix) < WIDEST_PREFIX.v4) return wanted;
  if (Number(prefix) > NARROWEST_TUNNEL) return `${wanted}, no narrower than /${NARROWEST_TUNNEL}`;
  const common = Math.min(Number(prefix), DOCKER_RANGE.prefix);
  return IPv4.parse(address).match(IPv4.parse(DOCKER_RANGE.address), common)
    ? `expected a range without ${DOCKER_RANGE.address}/${DOCKER_RANGE.prefix}, which are the addresses of the servers' own containers`
    : undefined;
}

/** Names of servers become addresses in it: the fewer there are, the more often two names are the same one. */
const NARROWEST_TUNNEL = 24;
