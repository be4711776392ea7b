/** A real S3 server with a bucket as the program makes it: versions, object lock, and two users with the program's own policies. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  callStorage,
  listVersions,
  type StorageKey,
  type StorageOptions,
} from "../../common/object-storage.ts";
import { run } from "../../common/run.ts";
import {
  administratorPolicy,
  readerPolicy,
  writerPolicy,
  type Policy,
} from "../../common/storage-policies.ts";
import { imageOf } from "./containers.ts";
import { until } from "./until.ts";

const LABEL = "technicia.rehearsal=test";
const PORT = 8333;
const REGION = "rbx";

export interface TestStorage {
  /** Where containers of its network reach it. */
  readonly address: string;
  readonly bucket: string;
  readonly region: string;
  /** `owner` is the storage's own, which OVHcloud gives nobody. */
  readonly keys: Readonly<Record<"owner" | "administrator" | "writer" | "reader", StorageKey>>;

  /** For calls from this machine. */
  readonly as: (key: StorageKey) => StorageOptions;
  readonly stop: () => Promise<void>;
  readonly restart: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

export async function startStorage(network: string, prefix: string): Promise<TestStorage> {
  const container = `${network}-s3`;
  const folder = await mkdtemp(join(tmpdir(), "technicia-s3-"));
  const bucket = "technicia-backup";
  const key = (): StorageKey => ({
    accessKeyId: randomBytes(10).toString("hex"),
    secretAccessKey: randomBytes(20).toString("hex"),
  });
  const keys = { owner: key(), administrator: key(), writer: key(), reader: key() };
  const place = { bucket, prefix };
  await writeFile(
    join(folder, "identities.json"),
    renderIdentities(keys, {
      administrator: administratorPolicy(place),
      writer: writerPolicy(place),
      reader: readerPolicy(place),
    }),
  );
  await run([
    ...["docker", "run", "--detach", "--name", container, "--label", LABEL, "--network", network],
    ...["--memory", "1g", "--env", "GOMEMLIMIT=700MiB", "--volume", `${folder}:/s3:ro`, await imageOf("s3")],
    ...[
      "weed",
      "server",
      "-dir=/tmp",
      "-ip=127.0.0.1",
      "-ip.bind=127.0.0.1",
      "-master.volumeSizeLimitMB=64",
      "-volume.max=80",
    ],
    ...[
      "-filer",
      "-metricsPort=0",
      "-s3",
      `-s3.port=${PORT}`,
      "-s3.ip.bind=0.0.0.0",
      "-s3.config=/s3/identities.json",
    ],
  ]);
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  const ip = (await run(["docker", "inspect", "--format", format, container])).trim();
  const address = `http://${ip}:${PORT}`;
  const as = (of: StorageKey): StorageOptions => ({
    ...{ address, region: REGION, bucket, key: of, fetch },
    signal: AbortSignal.timeout(60_000),
  });
  const made = () =>
    callStorage(
      { method: "PUT", headers: { "x-amz-bucket-object-lock-enabled": "true" } },
      as(keys.owner),
    ).then(
      () => true,
      () => false,
    );
  await until(`the bucket ${bucket}`, made);
  await callStorage({ method: "PUT", query: { "object-lock": "" }, body: LOCK }, as(keys.owner));
  return {
    ...{ address, bucket, region: REGION, keys, as },
    stop: async () => void (await run(["docker", "stop", "--time", "1", container])),
    restart: async () => void (await run(["docker", "start", container])),
    remove: async () => {
      await run(["docker", "rm", "--force", "--volumes", container]);
      await rm(folder, { recursive: true });
    },
  };
}

const LOCK = `<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>`;

function renderIdentities(
  keys: TestStorage["keys"],
  policies: Readonly<Record<"administrator" | "writer" | "reader", Policy>>,
): string {
  const credentials = ({ accessKeyId: accessKey, secretAccessKey: secretKey }: StorageKey) => [
    { accessKey, secretKey },
  ];
  return JSON.stringify({
    identities: [
      { name: "owner", credentials: credentials(keys.owner), actions: ["Admin"] },
      ...(["administrator", "writer", "reader"] as const).map((name) => ({
        ...{ name, credentials: credentials(keys[name]), actions: [], policyNames: [name] },
      })),
    ],
    policies: Object.entries(policies).map(([name, policy]) => ({
      name,
      content: JSON.stringify({ Version: "2012-10-17", ...policy }),
    })),
  });
}

/** Every version in the bucket, as the administrator sees them. */
export async function versionsOf(storage: TestStorage) {
  const found = [];
  for await (const version of listVersions("", storage.as(storage.keys.administrator))) found.push(version);
  return found;
}
