/** Converts the engine's property values from and to plain ones, with their secret and unknown parts. */
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_TEXT } from "../../common/property-signatures.ts";

/** A value that a preview does not know. */
export const UNKNOWN: unique symbol = Symbol("unknown");

export type Path = readonly (string | number)[];

/** Plain values, and the paths of the secrets in them. */
export interface Properties {
  readonly values: Readonly<Record<string, unknown>>;
  readonly secrets: readonly Path[];
}

export function decode(message: struct.Struct | undefined): Properties {
  const secrets: Path[] = [];
  const values = message === undefined ? {} : plain(message.toJavaScript(), [], secrets);
  return { values: values as Record<string, unknown>, secrets };
}

export function encode({ values, secrets }: Properties): struct.Struct {
  const marked = new Set(secrets.map(pathKey));
  return struct.Struct.fromJavaScript(engine(values, [], marked) as Record<string, struct.JavaScriptValue>);
}

/** Names of the properties that are or contain a secret. */
export function secretNames(secrets: readonly Path[]): Set<string> {
  return new Set(secrets.map((path) => String(path[0])));
}

export function isSecret(path: Path, secrets: readonly Path[]): boolean {
  return secrets.some(
    (secret) => secret.length <= path.length && secret.every((part, i) => part === path[i]),
  );
}

/** Whether any part of the value is unknown. */
export function hasUnknown(value: unknown): boolean {
  if (value === UNKNOWN) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(hasUnknown);
}

function plain(value: unknown, path: Path, secrets: Path[]): unknown {
  if (value === UNKNOWN_TEXT) return UNKNOWN;
  if (Array.isArray(value)) return value.map((item, index) => plain(item, [...path, index], secrets));
  if (typeof value !== "object" || value === null) return value;
  const signature: unknown = (value as Record<string, unknown>)[SIGNATURE_KEY];
  if (signature === SECRET_SIGNATURE) {
    secrets.push(path);
    return plain((value as Record<string, unknown>)["value"], path, secrets);
  }
  if (signature !== undefined) {
    throw new Error(
      `${path.join(".")}: expected a plain value, got an asset or a reference; pass its text instead`,
    );
  }
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined && item !== null)
      .map(([key, item]) => [key, plain(item, [...path, key], secrets)]),
  );
}

function engine(value: unknown, path: Path, secrets: ReadonlySet<string>): unknown {
  const inner = engineUnmarked(value, path, secrets);
  return path.length > 0 && secrets.has(pathKey(path))
    ? { [SIGNATURE_KEY]: SECRET_SIGNATURE, value: inner }
    : inner;
}

function engineUnmarked(value: unknown, path: Path, secrets: ReadonlySet<string>): unknown {
  if (value === UNKNOWN) return UNKNOWN_TEXT;
  if (Array.isArray(value)) return value.map((item, index) => engine(item, [...path, index], secrets));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, engine(item, [...path, key], secrets)]),
  );
}

function pathKey(path: Path): string {
  return JSON.stringify(path);
}
