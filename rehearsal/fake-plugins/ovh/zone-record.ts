import { until } from "../../../common/until.ts";
import { checkFields, diffFields, readInputs, type Fields } from "../bridged.ts";
import {
  textOf,
  type Call,
  type Existing,
  type Properties,
  type ResourceType,
  type Value,
} from "../plugin.ts";
import { callIfThere, type OvhApi } from "./client.ts";

const FIELDS: Fields = {
  zone: { required: true, replace: true },
  fieldtype: { required: true, replace: true },
  target: { required: true, isSame: isSameTarget },
  ttl: { fallback: 0, refuse: refuseTtl },
  subdomain: {},
};
const APPEARANCE_MS = 60_000;

/** `ovh.domain.ZoneRecord`. */
export function createZoneRecordType(api: OvhApi): ResourceType {
  return {
    check: (inputs) => checkFields(FIELDS, inputs),
    diff: ({ state }, inputs) => diffFields(FIELDS, state, inputs),

    create: async (call, inputs) => {
      const plan = { ttl: 0, ...inputs };
      if (call.preview) {
        return { id: "", state: plan };
      }
      const id = await post(api, plan);
      await publish(api, { call, zone: plan });
      const state = await until(() => readRecord(api, { id, state: plan }), {
        ...api.patience,
        every: 500,
        growth: 2,
        longest: 10_000,
        limit: APPEARANCE_MS,
        late: () => new Error(`record ${id} has been deleted`),
      });
      return { id, state };
    },

    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing);
      const found = await readRecord(api, { id, state });
      return found && { id, state: found, inputs: readInputs(FIELDS, found, inputs) };
    },

    update: async (call, { id, state }, inputs) => {
      if (call.preview) {
        return { ...state, ttl: 0, ...inputs };
      }
      await attempt("update", () => api.call("PUT", path(state, id), renderBody(inputs)));
      await publish(api, { call, zone: state });
      const found = await readRecord(api, { id, state: inputs });
      if (found === undefined) {
        throw new Error(`record ${id} has been deleted`);
      }
      return found;
    },

    delete: async (call, { id, state }) => {
      if ((await callIfThere(api, "DELETE", path(state, id))) !== undefined) {
        await publish(api, { call, zone: state });
      }
    },
  };
}

async function post(api: OvhApi, plan: Properties): Promise<string> {
  const { target, ttl, subDomain } = renderBody(plan);
  const body = { target: target!, ttl: ttl!, fieldType: plan.fieldtype!, ...(subDomain && { subDomain }) };
  const { id } = (await attempt("create", () => api.call("POST", path(plan), body))) as Properties;
  if (id !== 0) {
    return textOf(id);
  }

  // The API sometimes answers 0. The newest record with these values is the new one then.
  const ids = (await attempt("create", () => api.call("GET", path(plan)))) as number[];
  for (const candidate of ids.sort((a, b) => b - a)) {
    const found = await readRecord(api, { id: String(candidate), state: plan });
    if (
      found?.target === plan.target &&
      found?.fieldtype === plan.fieldtype &&
      (found?.subdomain ?? "") === (plan.subdomain ?? "")
    ) {
      return String(candidate);
    }
  }
  throw new Error(
    `API inconsistency: record creation on zone ${textOf(plan.zone)} didn't fail but unable to retrieve it.`,
  );
}

async function readRecord(api: OvhApi, { id, state }: Existing): Promise<Properties | undefined> {
  const record = (await callIfThere(api, "GET", path(state, id))) as Properties | undefined;
  return (
    record && {
      zone: record.zone ?? "",
      fieldtype: record.fieldType ?? "",
      subdomain: record.subDomain ?? "",
      ttl: record.ttl ?? 0,
      target: record.target ?? "",
    }
  );
}

// Changes take effect with the refresh. When it fails, the official plugin only logs a warning.
async function publish(api: OvhApi, { call, zone }: { call: Call; zone: Properties }): Promise<void> {
  try {
    await api.call("POST", `/domain/zone/${textOf(zone.zone)}/refresh`);
  } catch (error) {
    call.signal.throwIfAborted();
    call.status(`OVH Domain zone refresh failed: ${(error as Error).message}`);
  }
}

async function attempt(what: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`Failed to ${what} OVH Record: ${(error as Error).message}`, { cause: error });
  }
}

function renderBody({ target, ttl, subdomain }: Properties): Properties {
  const body = { target: target ?? "", ttl: ttl ?? 0 };
  return typeof subdomain === "string" && subdomain !== "" ? { ...body, subDomain: subdomain } : body;
}

function path({ zone }: Properties, id?: string): string {
  return `/domain/zone/${textOf(zone)}/record${id === undefined ? "" : `/${id}`}`;
}

function readKey({ id, state }: Existing): Existing {
  if (state.zone !== undefined) {
    return { id, state };
  }
  const dot = id.indexOf(".");
  if (dot < 0) {
    throw new Error(`Import Id is not OVH_ID.zone formatted: ${JSON.stringify(id)}`);
  }
  return { id: id.slice(0, dot), state: { zone: id.slice(dot + 1) } };
}

// The API puts a text in quotes.
function isSameTarget(old: Value, fresh: Value, state: Properties): boolean {
  return state.fieldtype === "TXT" && unquote(textOf(old)) === unquote(textOf(fresh));
}

function unquote(text: string): string {
  return text.replace(/^"(.*)"$/, "$1");
}

function refuseTtl(value: Value): string | undefined {
  return typeof value === "number" && (value === 0 || value >= 60)
    ? undefined
    : `"ttl" must be either equal to 0 or, greater than or equal to 60, got: ${JSON.stringify(value)}`;
}
