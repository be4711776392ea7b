/** Backups and restores that are killed at random moments, again and again. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { expectEverythingOn, killedOn, loseDataOf, pointsOf } from "../support/backup-data.ts";
import { POINTS, startBackupHost, type BackupHost } from "../support/backup-host.ts";

/** Of a backup, and as many of a restore. */
const KILLS = 50;

interface Made {
  readonly manifest: { readonly items: { readonly n8n: { readonly counts: object } } };
}

let host: BackupHost;

beforeAll(async () => {
  host = await startBackupHost();
  await host.backup("make");
});
afterAll(() => host.stop());

const sets = async () => (await host.backup<{ id: string }[]>("list")).map(({ id }) => id);

const killed = (words: string, milliseconds: number) => killedOn(host, { words, milliseconds });

const moments = (longest: number) => Array.from({ length: KILLS }, () => Math.floor(Math.random() * longest));

describe("a program that is killed at any moment", () => {
  it("leaves a repository that the next run uses, and that is whole", async () => {
    for (const [count, moment] of moments(15_000).entries()) {
      await killed("make --qdrant", moment);
      if (count % 10 === 9)
        expect((await host.backup<Made>("make")).manifest.items.n8n.counts).toMatchObject({ workflows: 3 });
    }
    const checked =
      await host.exec(`docker run --rm --network host --env AWS_SHARED_CREDENTIALS_FILE=/key --volume /etc/technicia/backup/reader:/key:ro \
  --volume /etc/technicia/backup/password:/password:ro --env AWS_DEFAULT_REGION=rbx "$(jq --raw-output .restic /etc/technicia/backup.json)" \
  --no-lock --no-cache --password-file /password --repo "$(jq --raw-output .repository /etc/technicia/backup.json)" check --read-data 2>&1`);

    expect(checked).toContain("no errors were found");
  }, 3_600_000);

  it("leaves no service half restored: n8n stands still, no set is made, and the same command finishes", async () => {
    await loseDataOf(host);
    const [set = ""] = await sets();
    for (const [count, moment] of moments(20_000).entries()) {
      await killed(`restore --set ${set}`, moment);
      const isPending = (await host.tryExec("test -e /var/lib/technicia/backup/restore.json")).code === 0;
      if (isPending)
        expect((await host.tryBackup("make")).stderr).toContain(
          "was interrupted: finish it with npm run restore -- prod --set",
        );
      if (count % 10 === 9) {
        await host.backup(`restore --set ${set}`);
        await expectEverythingOn(host);
        await loseDataOf(host);
      }
    }
    await host.backup(`restore --set ${set}`);
    await expectEverythingOn(host);
  }, 3_600_000);

  it("lets an interrupted restore be taken back", async () => {
    await host.sql("insert into variables (id, key, type, value) values ('2', 'kept', 'string', 'row')");
    const [set = ""] = await sets();
    for (const moment of moments(20_000).slice(0, 10)) {
      const ending = await killed(`restore --set ${set}`, moment);
      // Before anything is replaced there is nothing to take back.
      const isPending = (await host.tryExec("test -e /var/lib/technicia/backup/restore.json")).code === 0;
      if (ending === "ended" || isPending) await host.backup("undo");
      expect((await host.sql("select count(*) from variables where key = 'kept'"))[0]).toBe(1);
    }
    expect(await pointsOf(host)).toBe(POINTS);
  }, 3_600_000);
});
