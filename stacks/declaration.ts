/** Records in the state what the program declares, so that a check of drift need not believe the rest of the state. */
import { createHash, createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import * as pulumi from "@pulumi/pulumi";

import type { Content } from "../provider/n8n/content.ts";
import { isSecretKey, isSecretName, NAMESPACE, ROTATION, secretNames } from "../secrets/catalog.ts";
import { acceptedValues, parseRotation, valuesInEffect } from "../secrets/rotation.ts";
import { DECLARATION_TYPE, keyOf, type DeclarationRecord } from "./declaration-record.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Folders whose files decide what the program declares. */
const PROGRAM = ["common", "components", "infra", "provider", "secrets", "stacks"];

type Digests = Record<string, pulumi.Output<string>>;

/**
 * Runs the program, and records what it declares. One that fails records nothing, so the record is always that of a deployment that finished.
 *
 * `basis` changes whenever the program may declare something else.
 */
export function recordDeclaration<T>(define: () => T, basis: string = digestOfProgram()): T {
  const digests: Digests = {};
  // Short secrets could be guessed from a plain digest. This key is long, and no environment can do without it.
  const key = pulumi.runtime.getConfig(`${NAMESPACE}:n8nEncryptionKey`) ?? "";
  pulumi.runtime.registerStackTransformation(({ resource, type, name, props }) => {
    if (resource instanceof pulumi.CustomResource) {
      const declared = pulumi.output(props as object);
      digests[keyOf({ type, name })] = pulumi.unsecret(declared.apply((inputs) => digest(inputs, key)));
    }
    return undefined;
  });
  const result = define();
  const { plain, secrets } = configuration();
  new Declaration({ basis: digest([basis, secrets], key), settings: plain, digests });
  return result;
}

/** Digest of the program's files, and of what n8n is to have; no value of a credential. */
export function digestOfProgram(content?: Content): string {
  const hash = createHash("sha256");
  const credentials = content?.credentials.map(({ data, ...rest }) => ({
    ...rest,
    fields: Object.keys(data),
  }));
  hash.update(JSON.stringify([content?.workflows, credentials]));
  for (const folder of PROGRAM) {
    const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => /\.(ts|sh|js|py|json)$/.test(name)).sort()) {
      hash.update(`${folder}/${file}\0`).update(readFileSync(join(ROOT, folder, file)));
    }
  }
  return hash.digest("hex");
}

class Declaration extends pulumi.ComponentResource {
  constructor(record: Omit<DeclarationRecord, "digests"> & { readonly digests: Digests }) {
    super(DECLARATION_TYPE, "declaration");
    this.registerOutputs({ ...record });
  }
}

function configuration() {
  const own = `${NAMESPACE}:`;
  const entries = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]) =>
    key.startsWith(own) ? [[key.slice(own.length), value] as const] : [],
  );
  const plain = entries.flatMap(([name, value]) =>
    isSecretKey(name) ? [] : [[`${own}${name}`, value] as const],
  );
  return { plain: Object.fromEntries(plain), secrets: secretsThatCount(Object.fromEntries(entries)) };
}

/** What the program gets of the secrets: a rotation that ends changes where values are, and not what they are. */
function secretsThatCount(configured: Readonly<Record<string, string>>): unknown {
  const values = Object.fromEntries(Object.entries(configured).filter(([name]) => isSecretName(name)));
  const rotation = parseRotation(configured[ROTATION]);
  const pairs = secretNames.map((name) => acceptedValues(name, { values, rotation }));
  return [valuesInEffect(values, rotation), pairs.filter(({ length }) => length > 1)];
}

function digest(value: unknown, key: string): string {
  return createHmac("sha256", key)
    .update(JSON.stringify(value, (_name, inner: unknown) => sorted(inner)))
    .digest("hex")
    .slice(0, 32);
}

/** Without what is undefined, which the engine does not see. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
