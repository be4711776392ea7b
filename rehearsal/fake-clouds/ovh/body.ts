import { isIPv4 } from "node:net";

import type { ApiRequest } from "../api/routes.ts";
import { badRequest } from "./errors.ts";

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown) => string | undefined;

/** One described parameter of a request body. */
export interface Field {
  readonly required: boolean;
  readonly check: Check;
}

export type Fields = Readonly<Record<string, Field>>;
export type Body = Readonly<Record<string, unknown>>;

export const required = (check: Check): Field => ({ required: true, check });
export const optional = (check: Check): Field => ({ required: false, check });

export const string: Check = (value) => (typeof value === "string" ? undefined : wrongType(value, "string"));
export const boolean: Check = (value) =>
  typeof value === "boolean" ? undefined : wrongType(value, "boolean");
export const long: Check = (value) => (Number.isInteger(value) ? undefined : wrongType(value, "long"));
export const anything: Check = () => undefined;
export const ipv4: Check = (value) =>
  typeof value === "string" && isIPv4(value) ? undefined : wrongType(value, "ipv4");

export function oneOf(type: string, values: readonly (string | number)[]): Check {
  return (value) =>
    values.includes(value as string)
      ? undefined
      : `Given data (${JSON.stringify(value)}) does not belong to the ${type} enumeration`;
}

export function between(low: number, high: number): Check {
  return (value) =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high
      ? undefined
      : `Given data (${JSON.stringify(value)}) must be between ${low} and ${high}`;
}

export const ipv4Block: Check = (value) => {
  const [address = "", length, more] = typeof value === "string" ? value.split("/") : [];
  const bits = length === undefined ? 32 : /^\d{1,2}$/.test(length) ? Number(length) : -1;
  const good = isIPv4(address) && more === undefined && bits >= 0 && bits <= 32;
  return good ? undefined : wrongType(value, "ipv4Block");
};

export function object(fields: Fields): Check {
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return wrongType(value, "object");
    return firstProblem(value as Body, fields)?.text;
  };
}

/** The body of a call, checked as strictly as OVH does: a parameter that is not described is refused. */
export function readBody(request: ApiRequest, fields: Fields): Body {
  const given = parse(request.rawBody);
  const undescribed = Object.keys(given).filter((name) => !(name in fields));
  if (undescribed.length > 0) {
    throw badRequest(
      `Received not described parameters: (${undescribed.join(", ")}) when calling ${request.method} ${request.path}`,
    );
  }
  const problem = firstProblem(given, fields);
  if (problem) throw badRequest(`[${problem.name}] ${problem.text}`);
  return given;
}

function parse(rawBody: string): Body {
  if (rawBody === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(rawBody);
  } catch {
    throw badRequest("Invalid JSON received");
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw badRequest("Invalid JSON received");
  return value as Body;
}

function firstProblem(given: Body, fields: Fields): { name: string; text: string } | undefined {
  for (const [name, field] of Object.entries(fields)) {
    const value = given[name];
    if (value === undefined || value === null) {
      if (field.required) return { name, text: "Missing required parameter" };
      continue;
    }
    const text = field.check(value);
    if (text) return { name, text };
  }
  return undefined;
}

function wrongType(value: unknown, type: string): string {
  return `Given data (${JSON.stringify(value)}) is not valid for type ${type}`;
}
