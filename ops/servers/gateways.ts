/** Whether the gateways answer, each at its own address. */
import { script } from "../../common/script.ts";
import type { Server } from "../server/connection.ts";
import type { Member } from "../fleet/fleet.ts";

const GATEWAYS = script(new URL("gateways.sh", import.meta.url));

const SECONDS_EACH = 15;

/** Asked from a server, because resolvers here may still know another address. Gives those that do not answer, a line each. */
export async function verifyGateways(
  server: Pick<Server, "run">,
  { name, gateways }: { readonly name: string; readonly gateways: readonly Member[] },
): Promise<string[]> {
  const known = gateways.flatMap(({ name: gateway, ssh }) =>
    ssh === undefined ? [] : [{ gateway, address: ssh.address }],
  );
  if (known.length === 0) return [];
  const { stdout } = await server.run({
    purpose: "ask the gateways",
    script: GATEWAYS,
    variables: { NAME: name, ADDRESSES: known.map(({ address }) => address).join(" ") },
    timeoutSeconds: 10 + SECONDS_EACH * known.length,
  });
  const answers = new Map(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [string, string]),
  );
  return known.flatMap(({ gateway, address }) => {
    const status = answers.get(address) ?? "000";
    if (status === "200") return [];
    const got = status === "000" ? "no answer" : `status ${status}`;
    return [`${gateway}: expected its gateway to answer https://${name}/healthz at ${address}, got ${got}`];
  });
}
