/** A state that was lost, made again with the real engine from the doubles of the vendors: an update then creates nothing a second time. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { tryRun } from "../../../common/run.ts";
import { readFailure, type Pulumi } from "../../../ops/engine/cli.ts";
import { readState } from "../../../ops/engine/state.ts";
import { ensureState } from "../../../ops/recovery/lost-state.ts";
import {
  DEFAULT_TOKEN,
  startCloudflare,
  type FakeCloudflare,
} from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { DEFAULT_CREDENTIAL, startOvh, type FakeOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import { change, strongSecrets, validSettings } from "../../support/fixtures.ts";

const ROOT = join(import.meta.dirname, "../../..");
const PROJECT = "0123456789abcdef0123456789abcdef";
const ZONE_ID = "fedcba9876543210fedcba9876543210";
const PASSPHRASE = "trial";
const { applicationKey, applicationSecret, consumerKey } = DEFAULT_CREDENTIAL;

/** What of the program outlives a server, as the program itself creates it. */
const PROGRAM = `
  import * as pulumi from "@pulumi/pulumi";
  import { resolveSecrets } from "${ROOT}/secrets/resolve.ts";
  import { createCloud } from "${ROOT}/stacks/cloud.ts";
  import { readConfiguration } from "${ROOT}/stacks/configuration.ts";
  import { createBackupStorage } from "${ROOT}/stacks/parts/backup.ts";
  import { createDns, rentServers } from "${ROOT}/stacks/parts/server.ts";
  const environment = readConfiguration();
  const secrets = resolveSecrets(environment);
  const args = { environment, secrets, cloud: createCloud(environment, secrets) };
  createDns(args, rentServers(args));
  export const { writer, reader } = createBackupStorage(args);
`;

let home: string;
let folder: string;
let engine: Engine;
let ovh: FakeOvh;
let cloudflare: FakeCloudflare;

const pulumi: Pulumi = async ({ args, input }) => {
  const environment = {
    ...engine.environment,
    PULUMI_BACKEND_URL: `file://${join(folder, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: PASSPHRASE,
    SSH_AUTH_SOCK: "",
  };
  const ended = await tryRun([engine.pulumi, ...args, "--non-interactive", "--color", "never"], {
    cwd: folder,
    environment,
    ...(input === undefined ? {} : { input }),
  });
  if (ended.code !== 0) throw readFailure(args, ended);
  return ended.stdout;
};
const onStack = (...args: string[]) => pulumi({ args: [...args, "--stack", "test"] });
const outputs = async () =>
  JSON.parse(await onStack("stack", "output", "--json", "--show-secrets")) as Record<string, string>;

async function writeSettings(): Promise<void> {
  const settings = validSettings();
  for (const [path, value] of Object.entries({
    "server.serviceName": undefined,
    "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
    "ovh.endpoint": ovh.url,
    "dns.zoneId": ZONE_ID,
    "dns.cloudflareBaseUrl": cloudflare.url,
    backup: { project: PROJECT, region: "RBX" },
  }))
    change(settings, path, value);
  const secrets: Record<string, string | undefined> = {
    ...strongSecrets(),
    ...{ ovhApplicationKey: applicationKey, ovhApplicationSecret: applicationSecret },
    ...{ ovhConsumerKey: consumerKey, cloudflareApiToken: DEFAULT_TOKEN.token },
    ...{ ovhClientId: undefined, ovhClientSecret: undefined },
    ...{ backupReaderKey: undefined, backupWriterKey: undefined },
  };
  const given = Object.entries(secrets).flatMap(([name, value]) =>
    value === undefined ? [] : ["--secret", `technicia:${name}=${value}`],
  );
  await onStack("config", "set-all", ...given);
  const file = join(folder, "Pulumi.test.yaml");
  const made = parse(await readFile(file, "utf8")) as { config: object };
  const plain = Object.entries(settings).map(([name, value]) => [
    `technicia:${name}`,
    typeof value === "object" ? value : `${value as string | number | boolean}`,
  ]);
  const config = { ...made.config, ...(Object.fromEntries(plain) as object) };
  await writeFile(file, stringify({ ...made, config }, { defaultStringType: "QUOTE_DOUBLE" }));
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "technicia-home-"));
  folder = await mkdtemp(join(tmpdir(), "technicia-stack-"));
  [engine, ovh, cloudflare] = await Promise.all([
    prepareEngine({ progress: () => undefined, home }),
    startOvh({ projects: [PROJECT], resolve: () => Promise.resolve(["203.0.113.10"]) }),
    startCloudflare({ zones: [{ name: "exemple.fr", id: ZONE_ID }] }),
  ]);
  await mkdir(join(folder, "state"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "technicia", type: "module" }));
  const plugins = `plugins:\n  providers:\n    - name: technicia\n      path: ${ROOT}/provider\n`;
  const runtime = "runtime:\n  name: nodejs\n  options:\n    typescript: false\n";
  await writeFile(join(folder, "Pulumi.yaml"), `name: technicia\nmain: index.ts\n${runtime}${plugins}`);
  await writeFile(join(folder, "index.ts"), PROGRAM);
  await pulumi({ args: ["stack", "init", "test"] });
  await writeSettings();
  await onStack("up", "--yes", "--skip-preview");
}, 1_500_000);
afterAll(async () => {
  await Promise.all([ovh.close(), cloudflare.close()]);
  await rm(home, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
});

/** What the vendors have, as far as a second deployment must not make it again. */
function there() {
  const [project] = ovh.state.projects;
  return {
    servers: ovh.state.servers.map(({ serviceName }) => serviceName),
    orders: ovh.state.orders.length,
    buckets: project?.buckets.map(({ name }) => name),
    users: project?.users.map(({ id, keys }) => ({ id, keys: keys.map(({ access }) => access) })),
    records: cloudflare.state.zones[0]?.records.map(({ id, name, type }) => ({ id, name, type })),
  };
}

describe("a lost state", () => {
  it("is made again from the vendors, after which an update changes nothing and creates nothing twice", async () => {
    const [before, known] = [there(), await outputs()];
    const salt = /encryptionsalt.*/.exec(await readFile(join(folder, "Pulumi.test.yaml"), "utf8"))?.[0];
    await rm(join(folder, "state"), { recursive: true });
    await mkdir(join(folder, "state"));
    const said: string[] = [];
    const world = {
      ...{ pulumi, fetch, signal: new AbortController().signal },
      ...{ say: (line: string) => void said.push(line), confirm: () => Promise.resolve(false) },
    };

    expect(await ensureState({ stack: "test", stateLost: true, yes: true }, world)).toBe(true);

    const names = said.map((line) => /^adopted (\S+) \(/.exec(line)?.[1]);
    expect(names).toEqual([
      ...["vps-server", "dns-technicia-a", "dns-caa-letsencrypt.org"],
      ...["backup-storage-bucket", "backup-storage-lifecycle"],
      ...["backup-storage-writer", "backup-storage-writer-policy", "backup-storage-writer-key"],
      ...["backup-storage-reader", "backup-storage-reader-policy", "backup-storage-reader-key"],
    ]);
    expect(await readFile(join(folder, "Pulumi.test.yaml"), "utf8")).toContain(salt);
    const changed = JSON.parse(await onStack("preview", "--json")) as {
      steps: { op: string; urn: string }[];
    };
    const steps = changed.steps.filter(({ op }) => op !== "same");
    // Setting a reverse name again changes nothing, and the connection for local commands is none of a vendor's.
    expect(steps.map(({ op, urn }) => `${op} ${urn.split("::").at(-1)}`).sort()).toEqual([
      ...["create dns-reverse-name", "create dns-reverse-v4", "create local"],
    ]);
    await onStack("up", "--yes", "--skip-preview");
    expect(there()).toEqual(before);
    expect(await outputs()).toEqual(known);
    const { resources } = await readState("test", pulumi);
    const bucket = resources.find(({ urn }) => urn.endsWith("::backup-storage-bucket"));
    expect(bucket).toMatchObject({ protect: true, retainOnDelete: true });
    expect(JSON.stringify(resources)).not.toContain(known["reader"]!.split(":")[1]);
    expect(JSON.stringify(resources)).not.toContain(applicationSecret);
  });

  it("changes in place what differs from the program, and makes what is missing", async () => {
    const record = () => cloudflare.state.zones[0]!.records.find(({ type }) => type === "A")!;
    record().content = "192.0.2.1";
    const [, reader] = ovh.state.projects[0]!.users;
    reader!.keys.splice(0);
    const before = there();
    await rm(join(folder, "state"), { recursive: true });
    await mkdir(join(folder, "state"));
    const world = {
      ...{ pulumi, fetch, signal: new AbortController().signal },
      ...{ say: () => undefined, confirm: () => Promise.resolve(false) },
    };
    await ensureState({ stack: "test", stateLost: true, yes: false }, world);

    await onStack("up", "--yes", "--skip-preview");

    expect(record().content).toBe("203.0.113.10");
    const after = there();
    expect(after.records).toEqual(before.records);
    expect(after.users![1]!.keys).toHaveLength(1);
    expect({ ...after, users: [] }).toEqual({ ...before, users: [] });
  });
});
