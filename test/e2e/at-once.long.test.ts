/**
 * Images, settings, secrets, the certificate and a workflow, changed once in one deployment while visitors ask: none of them gets an error.
 *
 * Of n8n and Qdrant the rehearsal has one version: they restart here for their settings and secrets. Of the vendors' keys the doubles know one, except
 * for VoyageAI's.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { STATE } from "../../rehearsal/addresses.ts";
import { ensureAuthority } from "../../rehearsal/authority.ts";
import { ALLOWED, BEYOND_STOP_SECONDS } from "../../rehearsal/bench/changes.ts";
import {
  DELETE_COPIES,
  makeRepository,
  PREFIX,
  type Repository,
  sourceWords,
} from "../../rehearsal/bench/many-workflows.ts";
import { watchStops } from "../../rehearsal/bench/n8n-stops.ts";
import {
  DELETE_UPLOADED,
  longestOf,
  PER_SECOND,
  startLoad,
  visitorsOf,
} from "../../rehearsal/bench/visitors.ts";
import { prepareImages } from "../../rehearsal/images/build.ts";
import { publishImages } from "../../rehearsal/images/publish.ts";
import { rehearsedEntry } from "../../rehearsal/question.ts";
import { entryOf, type SecretName } from "../../secrets/catalog.ts";
import { deploy } from "./deployments.ts";
import {
  DOMAIN,
  ensureStarted,
  expectQuiet,
  onServer,
  operator,
  pulumi,
  set,
  startAgain,
  up,
} from "./rehearsal.ts";

const LONGEST_MS = 50 * 60_000;

interface Image {
  /** Its key in the settings `images`. */
  readonly key: string;

  /** As the rehearsal's registry offers it, and another version of the same content. */
  readonly now: string;
  readonly next: string;
}

const IMAGES: readonly Image[] = [
  ...(["vector-store", "document-processor", "vision-classifier", "frontend"] as const).map((name) => ({
    key: name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
    now: `technicia/${name}:1.0.0`,
    next: `technicia/${name}:1.0.9`,
  })),
  { key: "gateway", now: "library/nginx:1.30.4-alpine", next: "library/nginx:1.30.9-alpine" },
];

const asSet = (name: string) => name.replace(/^library\//, "");

const SETTINGS: Readonly<Record<string, string>> = {
  "services.n8n.memoryMib": "1300",
  "services.qdrant.memoryMib": "1000",
  "services.vectorStore.memoryMib": "400",
  "timeouts.answerSeconds": "130",
  // Another certificate, within the deployment.
  "acme.keyType": "rsa",
};

const GENERATED: readonly SecretName[] = ["n8nJwtSecret", "n8nRunnersToken", "n8nOwnerPassword"];

/** Requests that come in a minute, at least. */
const LEAST_A_MINUTE = PER_SECOND * 60 * 0.9;

let repository: Repository;

/** The images of now under another version: what runs is the same, and each service is replaced. */
async function publishNext(): Promise<void> {
  const quiet = { progress: () => undefined };
  const authority = await ensureAuthority(join(STATE, "authority"));
  const images = await prepareImages({ ...quiet, authority });
  const published: Record<string, string> = {};
  for (const { now, next } of IMAGES) {
    const tag = images.published[now];
    if (tag === undefined) throw new Error(`${now}: expected the rehearsal to offer it`);
    published[next] = tag;
  }
  await publishImages({ ...images, published }, quiet);
}

async function configure(...words: string[]): Promise<void> {
  const { code, stderr } = await pulumi(...words);
  expect(code, stderr).toBe(0);
}

async function setSecret(name: SecretName, value: string): Promise<void> {
  const words = ["pulumi", "config", "set", "--secret", `technicia:${name}`, "--stack", "test"];
  const { code, stderr } = await operator(words, { input: value });
  expect(code, stderr).toBe(0);
}

/** The kind of key of the certificate that the gateway presents: `ecdsa` or `rsa`. */
const keyType = async () =>
  /, (ecdsa|rsa), from /.exec(await onServer("/opt/technicia/bin/certificate status"))?.[1];

const imagesOfServices = async () =>
  await onServer("docker service ls --format '{{.Name}} {{.Image}}' | sort");

/** Of n8n's published workflow the line that each commit of the repository changes. */
const noteInN8n = async () =>
  (
    await onServer(`curl --silent --fail --noproxy '*' --user-agent Mozilla/5.0 --header @/var/lib/technicia/n8n/api-key \\
      http://127.0.0.1:5678/api/v1/workflows/${PREFIX}1 | jq --raw-output '[.nodes[].parameters.jsCode // empty][0]' | head -n 1`)
  ).trim();

beforeAll(async () => {
  await ensureStarted();
  await publishNext();
  repository = await makeRepository(1);
  await configure("config", "set-all", "--path", ...ALLOWED);
  await configure(
    ...sourceWords({ repository: repository.address, commit: await repository.commit("before") }),
  );
  await up();
  expect([await keyType(), await noteInN8n()]).toEqual(["ecdsa", "// before"]);
}, LONGEST_MS);
afterAll(async () => {
  // Rewrites the settings, which reverts what the tests changed.
  await startAgain();
  await onServer(DELETE_COPIES);
  await onServer(DELETE_UPLOADED);
  await repository[Symbol.asyncDispose]();
}, LONGEST_MS);

describe("a deployment of everything at once", () => {
  it(
    "fails no request, and has nobody wait longer than n8n takes to stop and 8 s",
    async () => {
      for (const { key, next } of IMAGES) await set(`technicia:images.${key}`, asSet(next));
      for (const [path, value] of Object.entries(SETTINGS)) await set(`technicia:${path}`, value);
      for (const name of GENERATED) await setSecret(name, entryOf(name).generate!());
      await setSecret("voyageApiKey", `pa-rehearsal-${randomBytes(16).toString("hex")}`);
      await configure(
        ...sourceWords({ repository: repository.address, commit: await repository.commit("after") }),
      );
      const [watched, began] = [await watchStops(), performance.now()];
      const load = startLoad(await visitorsOf(await rehearsedEntry(`https://${DOMAIN}`)));
      const { code, stdout, stderr } = await deploy();
      const visits = await load.stop();
      const minutes = (performance.now() - began) / 60_000;
      const stops = await watched.stop();

      expect(code, `${stdout}\n${stderr}`).toBe(0);
      const [stop, longest] = [Math.max(0, ...stops), longestOf(visits)];
      console.log(
        `${visits.length} requests in ${minutes.toFixed(1)} minutes; n8n stopped ${stops.length} times, within ${stop.toFixed(1)} s; ` +
          `the longest request took ${longest.toFixed(1)} s`,
      );
      expect(
        visits.flatMap(({ kind, failure }) => (failure === undefined ? [] : [`${kind}: ${failure}`])),
      ).toEqual([]);
      expect(visits.length).toBeGreaterThan(minutes * LEAST_A_MINUTE);
      expect(stops.length).toBeGreaterThan(0);
      expect(longest).toBeLessThanOrEqual(stop + BEYOND_STOP_SECONDS);
    },
    LONGEST_MS,
  );

  it("has brought all of it", async () => {
    const running = await imagesOfServices();
    for (const { next } of IMAGES) expect(running).toContain(`${asSet(next)}@sha256:`);
    expect([await keyType(), await noteInN8n()]).toEqual(["rsa", "// after"]);
    expect(
      await onServer(
        "docker service inspect technicia-n8n --format '{{.Spec.TaskTemplate.Resources.Limits.MemoryBytes}}'",
      ),
    ).toBe(`${1300 * 1024 ** 2}\n`);
    await expectQuiet();
  });
});
