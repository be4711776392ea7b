/** Puts the operator far from the server: every packet between them takes its time, at a limited rate. */
import { existsSync } from "node:fs";

import { UserError } from "../common/user-error.ts";
import { DATACENTRE, INTERNET } from "./addresses.ts";
import { docker } from "./docker.ts";
import { ROUTER, TUN } from "./world.ts";

export interface Distance {
  /** From the operator to the server and back. */
  readonly roundTripMs: number;

  /** In each direction. */
  readonly mbitPerSecond: number;
}

/**
 * Keeps the two apart until the router is made anew, which every first start after `rehearsal:stop` does.
 *
 * Packets of either direction are routed into a device of their own, which sends no more than the rate; the relay behind it holds each for half
 * of the round trip. What it sends on comes from that device, and goes on as it always did.
 */
export async function keepApart({ roundTripMs, mbitPerSecond }: Distance): Promise<void> {
  if (!existsSync(TUN)) {
    throw new UserError(
      `distance: expected the device ${TUN}, got none; load the kernel's module with modprobe tun, then npm run rehearsal:stop and npm start`,
    );
  }
  await docker(["exec", "--detach", ROUTER, "relay", String(roundTripMs / 2), "there", "back"]);
  const script = `
until ip link show there >/dev/null 2>&1 && ip link show back >/dev/null 2>&1; do sleep 0.1; done
device() { ip -oneline -4 address show to "$1" | cut -d ' ' -f 2; }
for name in there back; do
  ip link set "$name" up
  tc qdisc replace dev "$name" root tbf rate ${mbitPerSecond}mbit burst 64kb latency 400ms
done
ip route replace default dev there table 101
ip route replace default dev back table 102
ip rule add priority 101 iif "$(device ${INTERNET.router})" from ${INTERNET.operator} to ${DATACENTRE.subnet} lookup 101
ip rule add priority 102 iif "$(device ${DATACENTRE.router})" to ${INTERNET.operator} lookup 102`;
  await docker(["exec", ROUTER, "timeout", "20", "bash", "-euo", "pipefail", "-c", script]);
}
