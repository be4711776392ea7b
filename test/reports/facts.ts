/** Environments as a report finds them: a state recorded from a real run, and releases beside it. */
import { readFileSync } from "node:fs";

import type { Check } from "../../common/check.ts";
import type { AuditEvent, Release } from "../../common/release.ts";
import type { Records } from "../../reports/facts.ts";
import type { FactSources } from "../../ops/documents/facts.ts";
import { readFailure, type PulumiCall } from "../../ops/engine/cli.ts";
import { describeAccess, describeStatus, type StackOutputs } from "../../stacks/deployment-status.ts";
import { deploymentFacts, environmentWith } from "../support/fixtures.ts";

export const recordedState = JSON.parse(
  readFileSync(new URL("recorded/state.json", import.meta.url), "utf8"),
) as { deployment: { resources: { urn: string; type: string; created: string }[] } };

export function outputs(domain = "technicia.exemple.fr"): StackOutputs {
  const environment = { ...environmentWith(), domain };
  const facts = deploymentFacts();
  const description = describeStatus(environment, {
    ...facts,
    keys: facts.keys.map((key) =>
      key.service === "Anthropic" ? { ...key, configured: false, required: false } : key,
    ),
    evidence: {
      os: "Debian 12, clé SHA256:abc",
      firewall: "OVH : ok ; serveur : the loaded table is the file's",
      docker: "docker.io 20.10 ; swarm active, manager: true, listening at 127.0.0.1:2377",
      services: "technicia-n8n, technicia-qdrant",
      n8nEncryptionKey: "secret de technicia-n8n",
      n8nEnvironment: "admin@exemple.fr",
      n8nHttps: "2027-02-19",
      dns: "3 enregistrements",
      certbot: "certbot/certbot:v5.8.0",
      certificate:
        "valid for technicia.exemple.fr, ecdsa, from https://acme-v02.api.letsencrypt.org/directory",
      functionalTests: { partly: "https://technicia.exemple.fr/healthz" },
    },
  });
  return {
    deploymentStatus: description,
    url: `https://${domain}`,
    ipv4: facts.server.ipv4,
    ipv6: facts.server.ipv6,
    ...describeAccess(environment, facts.server.ipv4, "ssh-ed25519 AAAAhost"),
  };
}

export function check(id: string, change: Partial<Check> = {}): Check {
  return { id, title: `Contrôle ${id}`, outcome: "ok", detail: "vu", ...change };
}

export const wellVerified: readonly Check[] = [
  check("functional-https"),
  check("functional-webhooks", { outcome: "not-checked", detail: "aucun workflow importé" }),
  check("performance-health", {
    measures: { requests: 900, p50Ms: 12, p95Ms: 41, p99Ms: 77, errorRatio: 0 },
  }),
  check("security-tls"),
];

export function release(number: number, change: Partial<Release> = {}): Release {
  const hour = String(8 + (number % 12)).padStart(2, "0");
  return {
    number,
    stack: "test",
    kind: "deploy",
    revision: "0123456789abcdef0123456789abcdef01234567",
    images: { n8n: "n8nio/n8n@sha256:aa" },
    settingsHash: "ff",
    settings: {},
    who: "Ada <ada@exemple.fr>",
    reason: "",
    emergency: false,
    startedAt: `2026-11-22T${hour}:00:00.000Z`,
    finishedAt: `2026-11-22T${hour}:04:00.000Z`,
    outcome: "succeeded",
    preflight: [],
    verify: [...wellVerified],
    restoredVerify: [],
    seconds: { preflight: 10, plan: 20, up: 120, verify: 60 },
    ...change,
  };
}

export function drift(day: number, findings: number): AuditEvent {
  return {
    at: `2026-11-${String(day).padStart(2, "0")}T02:00:00.000Z`,
    who: "nuit",
    action: "drift",
    reason: "",
    detail: findings === 0 ? "aucun écart" : `${findings} écarts : pare-feu`,
    findings,
  };
}

export const noRecords: Records = { releases: [], history: [], corrupt: [] };

export interface Stack {
  /** @default the recorded one */
  readonly state?: unknown;
  /** @default those of a whole deployment */
  readonly outputs?: unknown;
  readonly records?: Records | Error;
  /** What the CLI says instead. */
  readonly failure?: string;
}

/** Answers as the CLI and the servers of these stacks would; a stack that is not named does not exist. */
export function sources(stacks: Readonly<Record<string, Stack>>): FactSources {
  const recordsByUrl = new Map<string, Records | Error>();
  return {
    pulumi: ({ args }: PulumiCall) => {
      const name = args[args.indexOf("--stack") + 1] ?? "";
      const stack = stacks[name];
      const failure = stack ? stack.failure : `error: no stack named '${name}' found`;
      if (failure !== undefined) {
        return Promise.reject(readFailure(args, { stdout: "", stderr: failure }));
      }
      if (args[1] === "export") return Promise.resolve(JSON.stringify(stack?.state ?? recordedState));
      const told = stack?.outputs ?? outputs(`${name}.technicia.exemple.fr`);
      recordsByUrl.set((told as Partial<StackOutputs>).url ?? "", stack?.records ?? noRecords);
      return Promise.resolve(JSON.stringify(told));
    },
    readRecords: ({ url }) => {
      const records = recordsByUrl.get(url) ?? noRecords;
      return records instanceof Error ? Promise.reject(records) : Promise.resolve(records);
    },
  };
}
