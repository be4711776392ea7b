import { randomBytes } from "node:crypto";

import { tryRun } from "../../common/run.ts";

const ATTEMPTS = 50;

/** The first parts of a network's addresses: `10.160.7` and `fd00:1a2b:3c4d`. */
export interface Subnet {
  readonly v4: string;
  readonly v6: string;
}

/** Creates a network of Docker. Test files run at the same time, and Docker refuses a subnet that is taken. */
export async function createFreeNetwork(name: string, label: string): Promise<Subnet> {
  for (let attempt = 1; ; attempt++) {
    const [a = 0, b = 0] = randomBytes(2);
    const subnet = {
      v4: `10.${150 + (a % 100)}.${b}`,
      v6: `fd00:${randomBytes(2).toString("hex")}:${randomBytes(2).toString("hex")}`,
    };
    const addresses = ["--subnet", `${subnet.v4}.0/24`, "--ipv6", "--subnet", `${subnet.v6}::/64`];
    const { code, stderr } = await tryRun([
      "docker",
      "network",
      "create",
      "--label",
      label,
      ...addresses,
      name,
    ]);
    if (code === 0) return subnet;
    if (!/overlap/i.test(stderr) || attempt === ATTEMPTS) {
      throw new Error(`docker network create failed: ${stderr}`);
    }
  }
}
