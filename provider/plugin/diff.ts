/** The differences between two sets of values, as the engine's previews name them. */
import { UNKNOWN } from "./wire.ts";

export interface Difference {
  /** Property path, such as `rules[3].port`. */
  readonly path: string;
  readonly kind: "add" | "delete" | "update";
}

export function differences(
  olds: Readonly<Record<string, unknown>>,
  news: Readonly<Record<string, unknown>>,
): Difference[] {
  const keys = new Set([...Object.keys(olds), ...Object.keys(news)]);
  return [...keys].flatMap((key) => compare(olds[key], news[key], property("", key)));
}

/** The property at the start of a path. */
export function rootOf(path: string): string {
  return /^[^.[]+/.exec(path)?.[0] ?? path;
}

function compare(old: unknown, now: unknown, path: string): Difference[] {
  if (old === now && now !== UNKNOWN) return [];
  if (old === undefined || old === null) {
    return now === undefined || now === null ? [] : [{ path, kind: "add" }];
  }
  if (now === undefined || now === null) return [{ path, kind: "delete" }];
  if (Array.isArray(old) && Array.isArray(now)) {
    const length = Math.max(old.length, now.length);
    return Array.from({ length }).flatMap((_, i) => compare(old[i], now[i], `${path}[${i}]`));
  }
  if (isRecord(old) && isRecord(now)) {
    const keys = new Set([...Object.keys(old), ...Object.keys(now)]);
    return [...keys].flatMap((key) => compare(old[key], now[key], property(path, key)));
  }
  return [{ path, kind: "update" }];
}

function property(parent: string, key: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `${parent}[${JSON.stringify(key)}]`;
  return parent === "" ? key : `${parent}.${key}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
