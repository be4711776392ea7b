/** What the texts in nodes' parameters must not contain: hosts that n8n cannot reach, keys in clear, and variables of the environment. */
import { isIP } from "node:net";

import { closest } from "fastest-levenshtein";

import { isServiceOn, SERVICES, swarmName, type ServiceName } from "../../../common/services.ts";
import { hasKey } from "../../../common/key-in-clear.ts";
import type { Problem } from "../problem.ts";
import { nodesOf, textsIn, type Judged, type PlacedText } from "./rule.ts";

/** The services on a network with n8n, and their ports. */
const CALLED = {
  vectorStore: 8000,
  documentProcessor: 8000,
  visionClassifier: 8000,
  qdrant: 6333,
} as const satisfies Partial<Record<ServiceName, number>>;

const ADDRESS = /(https?):\/\/([^\s/?#"'`<>\\)]*)/g;

interface Addressed {
  readonly scheme: string;

  /** With its port. */
  readonly authority: string;
}

export function reachableHosts(judged: Judged): Problem[] {
  return eachText(judged, ({ path, key, text }) => {
    const addresses = [...text.matchAll(ADDRESS)].map(([, scheme = "", authority = ""]) => ({
      scheme,
      authority,
    }));
    const isRequest = key === "url" && text !== "" && path.startsWith("parameters.url");
    if (isRequest && !/^=?https?:\/\/[^{]/.test(text)) {
      return [
        "expected an address whose host is written out, such as http://vector-store:8000/search, got another; write the host out",
      ];
    }
    return [...new Map(addresses.map((one) => [`${one.scheme} ${one.authority}`, one])).values()].flatMap(
      (one) => hostProblem(one, judged.environment),
    );
  });
}

function hostProblem({ scheme, authority }: Addressed, environment: Judged["environment"]): string[] {
  const { host, port } = splitAuthority(authority);
  const names = Object.keys(CALLED) as (keyof typeof CALLED)[];
  const found = names.find((name) => [SERVICES[name].alias, swarmName(name)].includes(host));
  if (found !== undefined) return serviceProblem(found, { scheme, authority, port }, environment);
  const isPublic = host.includes(".") && isIP(host) === 0 && !/\.(local|internal|localhost)$/.test(host);
  if (isPublic && scheme === "https") return [];
  if (isPublic)
    return [
      `expected https:// for a host outside, got http://${authority}, which sends everything in clear; use https`,
    ];
  const offered = names
    .filter((name) => isCalled(name, environment))
    .map((name) => `http://${SERVICES[name].alias}:${CALLED[name]}`);
  const near = closest(`http://${authority}`, offered);
  return [
    `expected a host that n8n reaches (${offered.join(", ")}, or https:// outside), got ${scheme}://${authority}; the nearest is ${near}`,
  ];
}

function splitAuthority(authority: string): { readonly host: string; readonly port: string } {
  const [, host = "", port = ""] = /^(?:[^@]*@)?(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(authority) ?? [];
  return { host: host.replace(/^\[|\]$/g, "").toLowerCase(), port };
}

/** n8n shares a network with Qdrant only where it keeps its own data in PostgreSQL. */
function isCalled(name: keyof typeof CALLED, environment: Judged["environment"]): boolean {
  if (name === "qdrant") return environment.services.n8n.database === "postgres";
  return isServiceOn(name, environment);
}

function serviceProblem(
  name: keyof typeof CALLED,
  { scheme, authority, port }: Addressed & { readonly port: string },
  environment: Judged["environment"],
): string[] {
  if (!isCalled(name, environment)) {
    const remedy =
      name === "qdrant"
        ? "which is on no network with n8n; ask http://vector-store:8000"
        : `which services.${name}.enabled turns off; set it to true`;
    return [`expected a service that n8n reaches, got ${authority}, ${remedy}`];
  }
  const right = `http://${SERVICES[name].alias}:${CALLED[name]}`;
  if (scheme === "http" && port === String(CALLED[name])) return [];
  return [
    `expected ${right}, as ${SERVICES[name].alias} listens inside the networks, got ${scheme}://${authority}; correct it`,
  ];
}

/** Names of headers and of parameters whose value is a key. */
const KEY_NAMES =
  /^(authorization|x-api-key|api[-_]?key|apikey|key|token|access[-_]?token|password|secret)$/i;

export function nothingInClear(judged: Judged): Problem[] {
  const remedy =
    "which has to count as known; put a new one into a secret of the stack, and name that in credentials.yaml";
  const inTexts = eachText(judged, ({ text }) =>
    hasKey(text) ? [`expected no key in clear, got one, ${remedy}`] : [],
  );
  const inPairs = nodesOf(judged).flatMap(({ node, at }) =>
    pairsIn(node.parameters).map((path) => ({
      path: `${at}.${path}`,
      text: `expected an expression or credentials for a key, got a value in clear, ${remedy}`,
    })),
  );
  const known = new Set(inTexts.map(({ path }) => path));
  return [...inTexts, ...inPairs.filter(({ path }) => !known.has(path))];
}

/** Paths of literal values next to a name such as x-api-key: `{ name, value }`. */
function pairsIn(value: unknown, path = "parameters"): string[] {
  if (Array.isArray(value)) return value.flatMap((inner, index) => pairsIn(inner, `${path}[${index}]`));
  if (typeof value !== "object" || value === null) return [];
  const { name, value: given } = value as Record<string, unknown>;
  const isKey =
    typeof name === "string" &&
    KEY_NAMES.test(name) &&
    typeof given === "string" &&
    given !== "" &&
    !given.startsWith("=");
  return [
    ...(isKey ? [`${path}.value`] : []),
    ...Object.entries(value).flatMap(([key, inner]) => pairsIn(inner, `${path}.${key}`)),
  ];
}

export function noEnvironment(judged: Judged): Problem[] {
  return eachText(judged, ({ text }) =>
    /\$env\b|\bprocess\.env\b/.test(text)
      ? [
          "expected no variable of n8n's environment, which the deployment blocks because it has n8n's own keys, got one; write the value down, or use credentials",
        ]
      : [],
  );
}

function eachText(judged: Judged, problemsOf: (text: PlacedText) => readonly string[]): Problem[] {
  return nodesOf(judged).flatMap(({ node, at }) =>
    textsIn(node.parameters).flatMap((placed) =>
      problemsOf(placed).map((text) => ({ path: `${at}.${placed.path}`, text })),
    ),
  );
}
