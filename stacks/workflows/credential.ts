/** `credentials.yaml`: which credentials n8n has, and the secret of the stack that each of their values comes from. */
import { z } from "zod";

import { isSecretName, NAMESPACE, type SecretName } from "../../secrets/catalog.ts";
import type { FilledCredential } from "../../provider/n8n/api.ts";
import { ID } from "../../provider/n8n/workflow.ts";
import type { KnownNodes } from "./known-nodes.ts";
import type { Problem } from "./problem.ts";
import { withoutSecrets } from "../../common/key-in-clear.ts";

/** The secrets that n8n may hold: those of what workflows call, none of the infrastructure's own. */
export const SECRETS_FOR_N8N = [
  "anthropicApiKey",
  "voyageApiKey",
  "googleCredentials",
  "qdrantApiKey",
] as const satisfies readonly SecretName[];

const fromSecret = z.strictObject({
  secret: z.string(),

  /** Before the value, such as "Bearer ". */
  prefix: z.string().optional(),

  /** Of a secret that is JSON: the field whose value is meant. */
  field: z.string().optional(),
});

const value = z.union([z.string(), z.number(), z.boolean(), fromSecret]);

const credential = z.strictObject({
  name: z.string({ error: "expected a name" }).min(1, "expected a name").max(128),
  type: z.string({ error: "expected a type of credentials, such as anthropicApi" }),
  data: z.record(z.string(), value, { error: "expected a map" }),
});

const credentials = z.record(z.string(), credential);

export interface Credential extends z.output<typeof credential> {
  readonly id: string;
}

interface Judged {
  /** Path of the file, for people. */
  readonly file: string;
  readonly stack: string;
  readonly known: KnownNodes | undefined;
}

/** The credentials in the file's content, and everything that is wrong with them; never a value. */
export function parseCredentials(
  content: unknown,
  judged: Judged,
): { readonly credentials: readonly Credential[]; readonly problems: readonly Problem[] } {
  const { file } = judged;
  const parsed = credentials.safeParse(content ?? {});
  if (!parsed.success)
    return { credentials: [], problems: parsed.error.issues.map((issue) => shapeProblem(file, issue)) };
  const found = Object.entries(parsed.data).map(([id, entry]) => ({ id, ...entry }));
  return { credentials: found, problems: found.flatMap((entry) => problemsOf(entry, judged)) };
}

// The text of zod for a wrong kind of value never contains the value itself, only what was expected.
function shapeProblem(file: string, { path, message, code }: z.core.$ZodIssue): Problem {
  const place = path.map(String).join(".");
  const text =
    code === "invalid_union"
      ? "expected a text, or the name of a secret such as { secret: anthropicApiKey }, got something else; see the comment at the top of the file"
      : `${code === "unrecognized_keys" ? "expected name, type and data only, got another key" : message}; see the comment at the top of the file`;
  return { path: place === "" ? file : `${file}: ${place}`, text };
}

function problemsOf({ id, type, data }: Credential, { file, stack, known }: Judged): Problem[] {
  const at = `${file}: ${id}`;
  const problems: Problem[] = [];
  if (!ID.test(id))
    problems.push({
      path: at,
      text: "expected an id of at most 36 letters, digits, - and _; choose another",
    });
  const fields = known?.credentials[type];
  if (known !== undefined && fields === undefined) {
    const text = `expected a type of credentials that n8n ${known.n8n} knows, got ${JSON.stringify(type)}; such as anthropicApi, httpHeaderAuth or httpBasicAuth`;
    return [...problems, { path: `${at}.type`, text }];
  }
  return [
    ...problems,
    ...Object.entries(data).flatMap(([name, given]) =>
      fieldProblems({ at, name, given, fields, type, stack }),
    ),
  ];
}

interface Field {
  readonly at: string;
  readonly name: string;
  readonly given: Credential["data"][string];
  readonly fields: KnownNodes["credentials"][string] | undefined;
  readonly type: string;
  readonly stack: string;
}

function fieldProblems({ at, name, given, fields, type, stack }: Field): Problem[] {
  // Somebody may have put the value where the name belongs.
  const path = `${at}.data.${withoutSecrets(name)}`;
  const kind = fields?.[name];
  if (fields !== undefined && kind === undefined) {
    const text = `expected a field of ${type} (${Object.keys(fields).join(", ")}), got another one; correct its name`;
    return [{ path, text }];
  }
  if (typeof given === "object") return secretProblems({ path, secret: given.secret, stack });
  if (kind === "secret" && given !== "") {
    const text =
      "expected the name of a secret, such as { secret: anthropicApiKey }, got a value in clear, which has to count as known; " +
      `remove it here, make another one at its vendor, and set that with pulumi config set --secret ${NAMESPACE}:<name> --stack ${stack}`;
    return [{ path, text }];
  }
  return [];
}

function secretProblems({
  path,
  secret,
  stack,
}: {
  readonly path: string;
  readonly secret: string;
  readonly stack: string;
}): Problem[] {
  if ((SECRETS_FOR_N8N as readonly string[]).includes(secret)) return [];
  // Somebody may have put the value where its name belongs.
  const found = isSecretName(secret) ? `${secret}, which is none of n8n's business` : "something else";
  const text = `expected the name of a secret (${SECRETS_FOR_N8N.join(", ")}), got ${found}; npm run secrets -- ${stack} lists them`;
  return [{ path: `${path}.secret`, text }];
}

/** Fills each value in; a secret that is not set, or has no such field, is a problem. */
export function fillCredentials(
  given: readonly Credential[],
  { secrets, stack }: { readonly secrets: Readonly<Record<string, string>>; readonly stack: string },
): { readonly filled: readonly FilledCredential[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const filled = given.map(({ id, name, type, data }) => ({
    ...{ id, name, type },
    data: Object.fromEntries(
      Object.entries(data).map(([field, from]) => {
        if (typeof from !== "object") return [field, from];
        const found = readSecret(from, secrets);
        if (found.value !== undefined) return [field, `${from.prefix ?? ""}${found.value}`];
        const path = `credentials.yaml: ${id}.data.${field}`;
        problems.push({
          path,
          text: `${found.problem}; set it with pulumi config set --secret ${NAMESPACE}:${from.secret} --stack ${stack}`,
        });
        return [field, ""];
      }),
    ),
  }));
  return { filled, problems };
}

function readSecret(
  { secret, field }: z.output<typeof fromSecret>,
  secrets: Readonly<Record<string, string>>,
): { readonly value?: string; readonly problem?: string } {
  const whole = secrets[secret];
  if (whole === undefined) return { problem: `expected the secret ${secret} to be set, got nothing` };
  if (field === undefined) return { value: whole };
  try {
    const inner = (JSON.parse(whole) as Record<string, unknown>)[field];
    if (typeof inner === "string" && inner !== "") return { value: inner };
  } catch {
    // Said below: it has no such field.
  }
  return { problem: `expected the secret ${secret} to be JSON with the field ${field}, got none` };
}
