/** A server of our own with n8n and Qdrant as services of a Swarm, realistic data in both, a storage, and the program of backups. */
import { readdir, readFile } from "node:fs/promises";

import { fingerprintOf } from "../../components/backup.ts";
import { type Ended, run } from "../../common/run.ts";
import { startStorage, type TestStorage } from "./backup-storage.ts";
import { imageOf } from "./containers.ts";
import { startHost, type TestHost } from "./host.ts";

const SCRIPTS = new URL("../../components/scripts/backup/", import.meta.url);
const STACK = "prod";
const KEY = "0123456789abcdef0123456789abcdef";
export const PASSWORD = "canary-of-the-repository";

export interface BackupHost extends TestHost {
  readonly storage: TestStorage;

  /** Runs the program; its result, or what it says when it fails. */
  readonly backup: <T = Record<string, unknown>>(words: string) => Promise<T>;
  readonly tryBackup: (words: string) => Promise<Ended>;

  /** Asks Qdrant's interface in the service's container. */
  readonly qdrant: (method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>;

  /** Runs SQL on n8n's database and gives the first row. */
  readonly sql: (statement: string) => Promise<unknown[]>;

  /** Writes the program's settings with other values. */
  readonly configure: (changes?: Readonly<Record<string, unknown>>) => Promise<void>;
  readonly containers: () => Promise<string>;
}

export const POINTS = 10_000;
const COLLECTION = "technicia";

/** `also`: other images of the rehearsal that the host gets. */
export async function startBackupHost({
  also = [],
}: { readonly also?: readonly string[] } = {}): Promise<BackupHost> {
  const host = await startHost();
  let storage: TestStorage | undefined;
  try {
    storage = await startStorage(await networkOf(host), STACK);
    return await furnish(host, storage, also);
  } catch (error) {
    // Left there, its services would take the processors of all tests that follow.
    await storage?.remove();
    await host.stop();
    throw error;
  }
}

async function furnish(host: TestHost, storage: TestStorage, also: readonly string[]): Promise<BackupHost> {
  await host.exec(INSTALL);
  const images = {
    n8n: await imageOf("n8n"),
    qdrant: await imageOf("qdrant"),
    restic: await imageOf("restic"),
  };
  await loadImages(host, [...Object.values(images), ...(await Promise.all(also.map(imageOf)))]);
  await host.exec(servicesOf(images));
  const made = describeHost(host, { storage, restic: images.restic });
  await installProgram(made);
  await made.configure();
  await fillQdrant(made);
  await host.exec(FILL_N8N);
  return made;
}

/** Docker's network of the host, which is named like its container. */
async function networkOf({ address }: TestHost): Promise<string> {
  const names = (await run(["docker", "ps", "--filter", "name=^technicia-test-", "--format", "{{.Names}}"]))
    .trim()
    .split("\n");
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  for (const name of names)
    if ((await run(["docker", "inspect", "--format", format, name])).trim() === address) return name;
  throw new Error(`expected a container with the address ${address}, got none`);
}

const INSTALL = `
echo nameserver 127.0.0.11 > /etc/resolv.conf
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends ca-certificates curl docker.io iptables jq openssl python3
docker swarm init --advertise-addr "$(hostname --all-ip-addresses | cut -d ' ' -f 1)" >/dev/null
mkdir --parents /opt/technicia/backup /etc/technicia/backup`;

async function loadImages(host: TestHost, images: readonly string[]): Promise<void> {
  const name = await networkOf(host);
  await run([
    "bash",
    "-o",
    "pipefail",
    "-c",
    'name=$1; shift; docker save "$@" | docker exec --interactive "$name" docker load --quiet',
    "-",
    name,
    ...images,
  ]);
}

function servicesOf({ n8n, qdrant }: Readonly<Record<"n8n" | "qdrant", string>>): string {
  return `
for volume in n8n-data qdrant-storage qdrant-snapshots; do docker volume create "technicia-$volume" >/dev/null; done
printf %s ${KEY} | docker secret create n8n_encryption_key - >/dev/null
docker service create --quiet --detach --name technicia-qdrant --env QDRANT__STORAGE__SNAPSHOTS_PATH=/qdrant/snapshots \
  --mount type=volume,source=technicia-qdrant-storage,target=/qdrant/storage \
  --mount type=volume,source=technicia-qdrant-snapshots,target=/qdrant/snapshots --entrypoint ./qdrant \
  --health-cmd 'bash -c "exec 3<>/dev/tcp/127.0.0.1/6333"' --health-interval 1s --health-start-period 2m ${qdrant}
docker service create --quiet --detach --name technicia-n8n --cap-drop ALL --secret source=n8n_encryption_key,uid=1000,gid=1000,mode=0400 \
  --env N8N_ENCRYPTION_KEY_FILE=/run/secrets/n8n_encryption_key --env DB_TYPE=sqlite --env DB_SQLITE_POOL_SIZE=4 \
  --env N8N_LISTEN_ADDRESS=0.0.0.0 --env N8N_DIAGNOSTICS_ENABLED=false --env N8N_DEFAULT_BINARY_DATA_MODE=filesystem \
  --mount type=volume,source=technicia-n8n-data,target=/home/node/.n8n \
  --health-cmd 'wget -q -O /dev/null http://127.0.0.1:5678/healthz/readiness' --health-interval 1s --health-start-period 2m ${n8n}
until [ "$(docker ps --filter health=healthy --quiet | wc -l)" = 2 ]; do sleep 0.5; done`;
}

/** Bash that runs a program in the network of a service's container: `enter <service> <program> …`. */
export const ENTER = `
# n8n says that it is ready before it knows all of its addresses, and answers 404 until it does.
n8n_ready() {
  for path in workflows credentials; do
    until [ "$(enter technicia-n8n curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:5678/rest/$path")" = 401 ]; do sleep 0.5; done
  done
}
enter() { nsenter --target "$(docker inspect --format '{{.State.Pid}}' "$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$1")")" --net "\${@:2}"; }`;

const FILL_N8N = `${ENTER}
: > /tmp/cookie
ask() {
  enter technicia-n8n curl --silent --show-error --fail-with-body --dump-header /tmp/headers --user-agent Mozilla/5.0 --header 'content-type: application/json' \
    --header @/tmp/cookie --request POST --data "$2" "http://127.0.0.1:5678/rest/$1" >/dev/null
  if grep -qi '^set-cookie: n8n-auth=.' /tmp/headers; then sed -n 's/^[Ss]et-[Cc]ookie: \\(n8n-auth=[^;]*\\).*/Cookie: \\1/p' /tmp/headers | tr -d '\\r' > /tmp/cookie; fi
}
n8n_ready
until ask owner/setup '{"email":"a@b.fr","firstName":"A","lastName":"B","password":"Secret12345"}' 2>/dev/null; do sleep 0.5; done
ask credentials '{"name":"key","type":"httpHeaderAuth","data":{"name":"x-key","value":"canary-of-a-credential"}}'
for name in one two three; do
  ask workflows '{"name":"'"$name"'","active":false,"connections":{},"settings":{},"nodes":[{"parameters":{"path":"'"$name"'"},"name":"Webhook","type":"n8n-nodes-base.webhook","typeVersion":2,"position":[0,0],"id":"'"$name"'","webhookId":"'"$name"'"}]}'
done
home=/var/lib/docker/volumes/technicia-n8n-data/_data
mkdir --parents "$home/binaryData/workflows/one"
head --bytes 300000 /dev/urandom > "$home/binaryData/workflows/one/scan.pdf"
chown --recursive 1000:1000 "$home/binaryData"
mkdir --parents /opt/technicia/letsencrypt/live/exemple.fr /opt/technicia/letsencrypt/accounts /opt/technicia/gateway/tls/one /var/lib/technicia/releases /var/lib/technicia/workflows
echo certificate > /opt/technicia/letsencrypt/live/exemple.fr/fullchain.pem
echo account > /opt/technicia/letsencrypt/accounts/key.json
echo key > /opt/technicia/gateway/tls/one/privkey.pem
ln --symbolic one /opt/technicia/gateway/tls/current
echo '{"number":7,"outcome":"succeeded","revision":"0123456"}' > /var/lib/technicia/releases/000007.end.json
echo '{"number":7,"outcome":"running","revision":"0123456"}' > /var/lib/technicia/releases/000007.json
echo '[]' > /var/lib/technicia/workflows/37517e5f3dc66819f61f5a7bb8ace1921282415f10551d2defa5c3eb0985b570.json
echo '{"action":"deploy"}' > /var/lib/technicia/history.jsonl`;

async function fillQdrant(host: BackupHost): Promise<void> {
  const { qdrant } = host;
  await qdrant("PUT", `/collections/${COLLECTION}`, { vectors: { size: 32, distance: "Cosine" } });
  await qdrant("PUT", `/collections/${COLLECTION}/index?wait=true`, {
    field_name: "type",
    field_schema: "keyword",
  });
  await qdrant("PUT", `/collections/${COLLECTION}/index?wait=true`, {
    field_name: "page_number",
    field_schema: "integer",
  });
  await qdrant("POST", "/collections/aliases", {
    actions: [{ create_alias: { alias_name: "documents", collection_name: COLLECTION } }],
  });
  await host.exec(`${ENTER}
python3 - <<'P' | while read -r points; do enter technicia-qdrant curl --silent --show-error --fail-with-body --request PUT --header 'content-type: application/json' --data @- 'http://127.0.0.1:6333/collections/${COLLECTION}/points?wait=true' <<<"$points" >/dev/null; done
import json, random
random.seed(1)
for start in range(0, ${POINTS}, 1000):
    print(json.dumps({"points": [{"id": i, "vector": [random.random() for _ in range(32)], "payload": {"type": "text", "page_number": i % 90, "text": f"page {i} " * 8}} for i in range(start, start + 1000)]}))
P`);
}

function describeHost(
  host: TestHost,
  { storage, restic }: { readonly storage: TestStorage; readonly restic: string },
): BackupHost {
  const tryBackup = (words: string) => host.tryExec(`/opt/technicia/backup/main.py ${words}`);
  return {
    ...host,
    storage,
    tryBackup,
    backup: async <T>(words: string) => {
      const { code, stdout, stderr } = await tryBackup(words);
      if (code !== 0) throw new Error(stderr.trim());
      return JSON.parse(stdout) as T;
    },
    qdrant: async (method, path, body) =>
      JSON.parse(
        await host.exec(`${ENTER}
enter technicia-qdrant curl --silent --show-error --fail-with-body --request ${method} --header 'content-type: application/json' \
  ${body === undefined ? "" : "--data @-"} 'http://127.0.0.1:6333${path}' <<'J'
${body === undefined ? "" : JSON.stringify(body)}
J`),
      ) as Record<string, unknown>,
    sql: async (statement) =>
      JSON.parse(
        await host.exec(`python3 - <<'P'
import json, sqlite3
connection = sqlite3.connect("/var/lib/docker/volumes/technicia-n8n-data/_data/database.sqlite", timeout=60)
row = connection.execute(${JSON.stringify(statement)}).fetchone()
connection.commit()
print(json.dumps(row))
P`),
      ) as unknown[],
    configure: async (changes = {}) => {
      const settings = {
        ...{
          stack: STACK,
          repository: `s3:${storage.address}/${storage.bucket}/${STACK}`,
          region: storage.region,
          restic,
        },
        ...{ database: "sqlite", qdrantHours: 24, drillDays: 7, memoryMib: 256, drillMemoryMib: 768 },
        keyFingerprint: fingerprintOf(KEY),
        ...changes,
      };
      await host.exec(`cat > /etc/technicia/backup.json <<'J'\n${JSON.stringify(settings)}\nJ`);
    },
    containers: async () =>
      host.exec(
        "docker ps --all --format '{{.Names}}' | sed 's/[.].*//' | sort; docker volume ls --quiet | sort; docker network ls --format '{{.Name}}' | sort; find /var/lib/technicia /run -maxdepth 2 -name '*technicia*' -o -maxdepth 2 -path '/var/lib/technicia/backup/*' ! -name status.json | sort",
      ),
    stop: async () => {
      await storage.remove();
      await host.stop();
    },
  };
}

async function installProgram(host: BackupHost): Promise<void> {
  for (const file of (await readdir(SCRIPTS)).filter((name) => name.endsWith(".py"))) {
    const text = await readFile(new URL(file, SCRIPTS), "utf8");
    await host.exec(`cat > /opt/technicia/backup/${file} <<'PROGRAM'\n${text}\nPROGRAM`);
  }
  const { writer, reader } = host.storage.keys;
  await host.exec(`chmod 0755 /opt/technicia/backup/main.py
umask 077
printf '[default]\\naws_access_key_id = %s\\naws_secret_access_key = %s\\n' ${writer.accessKeyId} ${writer.secretAccessKey} > /etc/technicia/backup/writer
printf '[default]\\naws_access_key_id = %s\\naws_secret_access_key = %s\\n' ${reader.accessKeyId} ${reader.secretAccessKey} > /etc/technicia/backup/reader
printf %s ${PASSWORD} > /etc/technicia/backup/password
chmod 0400 /etc/technicia/backup/*`);
}
