/** A server whose disk is lost. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { until } from "../common/until.ts";
import { OvhClient } from "../provider/ovh/client.ts";
import { INTERNET, STATE } from "./addresses.ts";
import { PORTS } from "./fake-clouds/configuration.ts";
import { ensureAccounts } from "./stack-settings.ts";

const LIMIT_SECONDS = 300;

/** As its owner would in OVH's control panel. */
export async function reinstall(): Promise<void> {
  const keys = await ensureAccounts();
  const client = new OvhClient({
    endpoint: `http://${INTERNET.clouds}:${PORTS.ovh}/1.0`,
    credentials: {
      kind: "keys",
      applicationKey: keys.ovhApplicationKey,
      applicationSecret: keys.ovhApplicationSecret,
      consumerKey: keys.ovhFirstConsumerKey,
    },
  });
  const [name = ""] = await client.get<string[]>("/vps");
  const { id } = await client.get<{ id: string }>(`/vps/${name}/images/current`);
  await client.post(`/vps/${name}/rebuild`, {
    imageId: id,
    publicSshKey: (await readFile(join(STATE, "id_ed25519.pub"), "utf8")).trim(),
    doNotSendPassword: true,
  });
  await until(hasNoTask, {
    limit: LIMIT_SECONDS * 1000,
    every: 500,
    late: () => new Error(`the reinstallation did not end within ${LIMIT_SECONDS} s`),
  });
}

async function hasNoTask(): Promise<boolean> {
  const answer = await fetch(`http://${INTERNET.clouds}:${PORTS.management}/state`);
  if (!answer.ok) throw new Error(`the fake clouds answered ${answer.status}`);
  const { ovh } = (await answer.json()) as { ovh: { servers: { tasks: { state: string }[] }[] } };
  return ovh.servers[0]?.tasks.every(({ state }) => state === "done") === true;
}
