/** A server whose disk is lost. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { OvhClient } from "../../provider/ovh/client.ts";
import { INTERNET, STATE } from "../../rehearsal/addresses.ts";
import { management, until } from "./rehearsal.ts";

/** As its owner would in OVH's control panel. */
export async function reinstall(): Promise<void> {
  const keys = JSON.parse(await readFile(join(STATE, "accounts.json"), "utf8")) as Record<string, string>;
  const client = new OvhClient({
    endpoint: `http://${INTERNET.clouds}:8080/1.0`,
    credentials: {
      kind: "keys",
      applicationKey: keys["ovhApplicationKey"] ?? "",
      applicationSecret: keys["ovhApplicationSecret"] ?? "",
      consumerKey: keys["ovhFirstConsumerKey"] ?? "",
    },
  });
  const [name = ""] = await client.get<string[]>("/vps");
  const { id } = await client.get<{ id: string }>(`/vps/${name}/images/current`);
  await client.post(`/vps/${name}/rebuild`, {
    imageId: id,
    publicSshKey: (await readFile(join(STATE, "id_ed25519.pub"), "utf8")).trim(),
    doNotSendPassword: true,
  });
  await until(
    "the reinstallation to end",
    async () => {
      const { ovh } = await management<{ ovh: { servers: { tasks: { state: string }[] }[] } }>("state");
      return ovh.servers[0]?.tasks.every(({ state }) => state === "done") === true;
    },
    300,
  );
}
