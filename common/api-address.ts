import { BlockList, isIPv4, isIPv6 } from "node:net";

// This machine, and the ranges that the internet does not route (RFC 2544, 3849 and 5737): the rehearsal's clouds are there.
const NEAR = new BlockList();
for (const [network, bits] of [
  ["127.0.0.0", 8],
  ["192.0.2.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
] as const) {
  NEAR.addSubnet(network, bits, "ipv4");
}
NEAR.addAddress("::1", "ipv6");
NEAR.addSubnet("2001:db8::", 32, "ipv6");

/**
 * Whether keys may be sent to this address of an API: over https, or over http where nobody on the way can read them.
 *
 * An `http://` typed by mistake would send them in clear.
 */
export function isSafeForKeys(address: string): boolean {
  const url = URL.parse(address);
  if (url?.protocol === "https:") return true;
  if (url?.protocol !== "http:") return false;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (host === "localhost") return true;
  return (isIPv4(host) && NEAR.check(host, "ipv4")) || (isIPv6(host) && NEAR.check(host, "ipv6"));
}
