/** What the tests of the backups lose and expect again. */
import { expect } from "vitest";

import { POINTS, type BackupHost } from "./backup-host.ts";

/** The folder of n8n's volume. */
export const HOME = "/var/lib/docker/volumes/technicia-n8n-data/_data";

export async function pointsOf(host: BackupHost): Promise<number> {
  const { result } = await host.qdrant("POST", "/collections/technicia/points/count", { exact: true });
  return (result as { count: number }).count;
}

/** Loses a part of everything, as an upgrade that went wrong does. */
export async function loseDataOf(host: BackupHost): Promise<void> {
  await host.qdrant("POST", "/collections/technicia/points/delete?wait=true", {
    filter: { must: [{ key: "page_number", match: { value: 3 } }] },
  });
  await host.qdrant("POST", "/collections/aliases", {
    actions: [{ delete_alias: { alias_name: "documents" } }],
  });
  await host.qdrant("DELETE", "/collections/technicia/index/type?wait=true");
  await host.sql("delete from workflow_entity where name = 'two'");
  await host.exec(
    `rm ${HOME}/binaryData/workflows/one/scan.pdf; rm -r /opt/technicia/letsencrypt/live; echo other > /opt/technicia/gateway/tls/one/privkey.pem`,
  );
}

/** Expects all that the host was filled with. */
export async function expectEverythingOn(host: BackupHost): Promise<void> {
  expect(await pointsOf(host)).toBe(POINTS);
  expect((await host.qdrant("GET", "/aliases"))["result"]).toEqual({
    aliases: [{ alias_name: "documents", collection_name: "technicia" }],
  });
  expect((await host.qdrant("GET", "/collections/technicia"))["result"]).toMatchObject({
    payload_schema: { type: { data_type: "keyword" }, page_number: { data_type: "integer" } },
  });
  expect(await host.sql("select count(*) from workflow_entity")).toEqual([3]);
  expect(await host.exec(`stat --format '%s %U' ${HOME}/binaryData/workflows/one/scan.pdf`)).toBe(
    "300000 debian\n",
  );
  expect(
    await host.exec(
      "cat /opt/technicia/letsencrypt/live/exemple.fr/fullchain.pem /opt/technicia/gateway/tls/current/privkey.pem",
    ),
  ).toBe("certificate\nkey\n");
}

/** Starts the program, kills it with everything that it started after some milliseconds, and says whether it had ended before. */
export async function killedOn(
  host: BackupHost,
  { words, milliseconds }: { readonly words: string; readonly milliseconds: number },
): Promise<string> {
  const said = await host.exec(`setsid /opt/technicia/backup/main.py ${words} >/dev/null 2>&1 & program=$!
sleep ${milliseconds / 1000}
if kill -0 "$program" 2>/dev/null; then kill -KILL -- "-$program"; echo killed; else echo ended; fi
wait "$program" 2>/dev/null || true`);
  return said.trim();
}
