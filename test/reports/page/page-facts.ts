/** Facts for the page: a busy test environment, a quiet staging whose server does not answer, and no production. */
import type { Release } from "../../../common/release.ts";
import { readAllFacts } from "../../../ops/documents/facts.ts";
import type { Incident } from "../../../reports/incidents/incidents.ts";
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
  const environments = await readAllFacts(
    sources({
      test: {
        outputs: outputs("test.technicia.exemple.fr"),
        records: { releases: numbers.map(verified), history, corrupt: [] },
      },
      staging: {
        records: new UserError(
          "debian@203.0.113.20:22: expected an answer within 20 s, got none; see whether the server runs",
        ),
      },
    }),
  );
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
