/** Facts for the page: a busy test environment, a quiet staging whose server does not answer, and no production. */
import type { Release } from "../../../common/release.ts";
import { readAllFacts } from "../../../ops/documents/facts.ts";
import type { Incident } from "../../../reports/incidents/incidents.ts";
import type { Monitored } from "../../../reports/facts.ts";
import type { TrackingFacts } from "../../../reports/tracking/tracking.ts";
import { UserError } from "../../../common/user-error.ts";
import { check, drift, outputs, release, sources } from "../facts.ts";

export const NASTY = `<img src=x onerror="alert('1')"> & </script><b>gras</b>`;

export const now = new Date("2026-12-12T09:30:00Z");

function verified(number: number): Release {
  const slow = number === 9;
  const p50Ms = 11 + ((number * 7) % 9);
  const measures = {
    requests: 900,
    errorRatio: slow ? 0.02 : 0,
    p50Ms,
    p95Ms: p50Ms * (slow ? 190 : 4),
    p99Ms: p50Ms * (slow ? 260 : 6),
  };
  const day = String(10 + number).padStart(2, "0");
  return release(number, {
    startedAt: `2026-11-${day}T09:12:00.000Z`,
    finishedAt: `2026-11-${day}T09:16:30.000Z`,
    outcome: slow ? "rolled-back" : "succeeded",
    ...(slow ? { restored: 8, failure: "Tests de performance : /healthz : p95 au-dessus de 2000 ms" } : {}),
    ...(number === 5
      ? { kind: "rollback", restored: 3, reason: "lenteur signalée par les techniciens" }
      : {}),
    ...(number === 7 ? { emergency: true, reason: "certificat expiré" } : {}),
    seconds: {
      preflight: 14 + number,
      plan: 21,
      up: 96 + ((number * 13) % 40),
      verify: 61,
      ...(slow ? { rollback: 74, rollbackVerify: 58 } : {}),
    },
    verify: [
      check("functional-https", {
        title: "Application : Accessible et fonctionnelle",
        detail: "GET /healthz : 200 en 12 ms",
      }),
      check("functional-webhooks", {
        title: "APIs : Endpoints critiques opérationnels",
        outcome: "not-checked",
        detail: "aucun workflow n'est importé",
      }),
      check("performance-health", {
        title: "Tests de performance : /healthz",
        outcome: slow ? "failed" : "ok",
        detail: `p95 ${measures.p95Ms} ms`,
        measures,
      }),
      check("security-tls", { title: "Versions de TLS", detail: "TLS 1.2 et 1.3 ; 1.0 et 1.1 refusés" }),
      check("security-headers", { title: "En-têtes de sécurité", detail: NASTY }),
    ],
  });
}

const incident = {
  id: "DEPLOY-002",
  title: `Dérive : pare-feu ${NASTY}`,
  environment: "Test",
  status: "Ouvert",
  priority: "Haute",
  category: "Sécurité",
  impact: "",
  solution: "",
  prevention: [],
  identified: "2026-12-05",
  resolved: undefined,
  seen: [],
  resolvedAt: undefined,
  alert: undefined,
  note: undefined,
  start: 0,
  end: 0,
} as const satisfies Omit<Incident, "fields">;

const HOUR_MS = 3_600_000;

/** Two neighbours, alerts with odd names, and 60 points, the first ten of which are missing. */
export function monitored(): Monitored {
  const alert = (id: string, change: Partial<Monitored["alerts"][number]> = {}) => ({
    ...{ id, severity: "P1", isActive: false, quiet: undefined },
    from: new Date("2026-12-01T08:00:00Z"),
    until: new Date("2026-12-01T08:12:00Z"),
    ...change,
  });
  return {
    availability: [
      { by: "staging", percent: 99.6, since: new Date("2026-11-12T09:30:00Z") },
      { by: "prod", percent: 99.9991, since: new Date("2026-12-11T09:30:00Z") },
      { by: "autre", why: `debian@203.0.113.30:22: ${NASTY}` },
    ],
    alerts: [
      alert("ServiceDown-qdrant"),
      alert(NASTY, { severity: "P2", quiet: "planned" }),
      alert("DiskWarning-/", { severity: "P3", isActive: true, until: now }),
    ],
    pointHours: 12,
    points: Array.from({ length: 60 }, (_, index) => {
      const known = (value: number) => (index < 10 || index === 30 ? undefined : value);
      return {
        at: new Date(now.getTime() - (59 - index) * 12 * HOUR_MS),
        p50Seconds: known(0.1 + (index % 5) / 50),
        p95Seconds: known(0.4 + (index % 7) / 20),
        p99Seconds: known(0.9 + (index % 3) / 10),
        failedPercent: known((index % 11) / 10),
      };
    }),
  };
}

export async function busy(): Promise<TrackingFacts> {
  const numbers = Array.from({ length: 12 }, (_, index) => index + 1);
  const history = [
    ...[0, 0, 2, 0, 0, 1, 0, 5, 0].map((findings, index) => drift(12 + index, findings)),
    {
      ...drift(21, 0),
      action: "repair" as const,
      findings: undefined,
      detail: "5 écarts réparés",
      who: "Ada <ada@exemple.fr>",
      reason: NASTY,
    },
  ];
  const stacks = sources({
    test: {
      outputs: outputs("test.technicia.exemple.fr"),
      records: { releases: numbers.map(verified), history, corrupt: [] },
    },
    staging: {
      records: new UserError(
        "debian@203.0.113.20:22: expected an answer within 20 s, got none; see whether the server runs",
      ),
    },
  });
  const environments = await readAllFacts({
    ...stacks,
    readMonitoring: (stack) =>
      stack === "test"
        ? Promise.resolve(monitored())
        : Promise.reject(new UserError("metrics does not answer")),
  });
  const resolved = {
    ...incident,
    id: "DEPLOY-001",
    title: "Certificat non renouvelé",
    status: "Résolu",
    resolved: "2026-12-02",
    category: "Configuration",
  } as const;
  return { environments, incidents: [resolved, incident] as unknown as Incident[], now };
}

export async function nothing(): Promise<TrackingFacts> {
  return { environments: await readAllFacts(sources({})), incidents: [], now };
}
