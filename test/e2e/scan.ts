/** What a stranger on the internet finds open on the server. */
import { run } from "../../common/run.ts";
import { prepareImages } from "../../rehearsal/images/build.ts";
import { DATACENTRE, INTERNET } from "../../rehearsal/addresses.ts";

export type Family = "-4" | "-6";

/** The ports that are meant to be open. */
export const WEB = ["80", "443"];

/** A UDP port for a program that answers everybody. */
export const ECHO = 9999;

// Name service, DHCP, TFTP, portmapper, time, NetBIOS, SNMP, chrony, IPsec, syslog, DHCPv6, SSDP, NAT traversal, Swarm's overlay and gossip, mDNS, WireGuard.
const UDP_PORTS = [
  53,
  67,
  68,
  69,
  111,
  123,
  137,
  161,
  323,
  500,
  514,
  546,
  1900,
  4500,
  4789,
  5353,
  7946,
  51820,
  ECHO,
];

/** A server's addresses; the first environment's first one has those of its datacentre. */
export interface Target {
  readonly ipv4: string;
  readonly ipv6: string;
}

const FIRST: Target = { ipv4: DATACENTRE.server, ipv6: DATACENTRE.server6 };

/** Open ones of all 65535 TCP ports. */
export function openTcpPorts(family: Family, target = FIRST): Promise<string[]> {
  return openPorts(
    { family, target },
    "-sS -p- -T5 --min-rate 8000 --max-retries 1 --defeat-rst-ratelimit --open",
  );
}

/** Those UDP ports that answer. */
export function openUdpPorts(family: Family, target = FIRST): Promise<string[]> {
  return openPorts({ family, target }, `-sU -p ${UDP_PORTS.join(",")} --max-retries 1`);
}

/** Runs nmap against the server in a stranger's container. */
async function openPorts(
  { family, target: { ipv4, ipv6 } }: { readonly family: Family; readonly target: Target },
  how: string,
): Promise<string[]> {
  const images = await prepareImages({ progress: () => undefined });
  const target = family === "-4" ? ipv4 : `-6 ${ipv6}`;
  const stdout = await run(
    [
      "docker",
      ...["run", "--rm", "--label", "technicia.rehearsal=1", "--network", INTERNET.network],
      ...["--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", images.scanner, "sh", "-c"],
      `ip route replace ${DATACENTRE.subnet} via ${INTERNET.router}; nmap -n -Pn ${how} -oG - ${target}`,
    ],
    { signal: AbortSignal.timeout(300_000) },
  );
  return [...stdout.matchAll(/(\d+)\/open\/(?:tcp|udp)/g)].map((match) => match[1] ?? "");
}
