/** The address that the operator's connections come from, which is seldom the one that the operator's machine has. */
import { BlockList, isIPv4, isIPv6 } from "node:net";
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";

/** Bash that prints it as the server sees it: sshd tells the login, whose program is above this one. */
export const SEEN_BY_SERVER = `
pid=$$
while [ "$pid" -gt 1 ]; do
  seen=$(tr '\\0' '\\n' <"/proc/$pid/environ" 2>/dev/null | sed --quiet 's/^SSH_CONNECTION=\\([^ ]*\\) .*/\\1/p' || true)
  if [ -n "$seen" ]; then echo "\${seen#::ffff:}"; exit; fi
  pid=$(sed --quiet 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done`;

const ANSWER_MILLISECONDS = 5_000;

/** Asks a service that answers with the caller's address, alone or as "ip=…" or "ip": "…" among other things. */
export async function askAddressService(url: string, signal: AbortSignal): Promise<string> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MILLISECONDS)]);
  const text = await systemFetch(url, { signal: limited }).then(
    (response) => (response.ok ? response.text() : `the status ${response.status}`),
    (error: Error) => {
      signal.throwIfAborted();
      const cause = error.cause instanceof Error ? error.cause : error;
      throw new UserError(`${url}: expected an answer within 5 s, got: ${cause.message}`, { cause: error });
    },
  );
  const address = addressIn(text);
  if (address !== undefined) return address;
  throw new UserError(`${url}: expected the caller's address, got ${JSON.stringify(text.slice(0, 60))}`);
}

function addressIn(text: string): string | undefined {
  const candidates = [
    text.trim(),
    ...[...text.matchAll(/\bip"?\s*[=:]\s*"?([0-9a-f.:]+)/gi)].map(([, ip = ""]) => ip),
  ];
  return candidates.find((candidate) => isIPv4(candidate) || isIPv6(candidate));
}

/** Whether an address is in one of the networks (CIDR). */
export function isWithin(address: string, networks: readonly string[]): boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [base = "", length] = network.split("/");
    const family = isIPv4(base) ? "ipv4" : "ipv6";
    list.addSubnet(base, Number(length ?? (family === "ipv4" ? 32 : 128)), family);
  }
  return list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}

/** The network that holds only this address. */
export function only(address: string): string {
  return `${address}/${isIPv4(address) ? 32 : 128}`;
}
