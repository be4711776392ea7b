import { until } from "../../../common/until.ts";
import { OvhError } from "../../../provider/ovh/errors.ts";
import { checkFields, diffFields, readInputs, type Fields } from "../bridged.ts";
import { textOf, type Existing, type Properties, type ResourceType, type Value } from "../plugin.ts";
import { callIfThere, escapePath, type OvhApi } from "./client.ts";

const FIELDS: Fields = {
  ip: { required: true, replace: true },
  ReverseIp: { required: true, replace: true },
  ReverseValue: { required: true, replace: true },
  readinessTimeoutDuration: { replace: true, refuse: refuseDuration },
};
const BETWEEN_ATTEMPTS_MS = 5_000;
const DEFAULT_READINESS_MS = 60_000;

/** `ovh.ip.Reverse`. */
export function createReverseType(api: OvhApi): ResourceType {
  const read = async (id: string, state: Properties): Promise<Properties | undefined> => {
    const found = (await callIfThere(api, "GET", path(state, id))) as Properties | undefined;
    return found && { ...state, ReverseIp: found.ipReverse ?? id, ReverseValue: found.reverse ?? "" };
  };

  return {
    check: (inputs) => checkFields(FIELDS, inputs),
    diff: ({ state }, inputs) => diffFields(FIELDS, state, inputs),

    create: async (call, inputs) => {
      if (call.preview) {
        return { id: "", state: inputs };
      }
      const id = await post(api, inputs);
      return { id, state: (await read(id, inputs)) ?? inputs };
    },

    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing);
      const found = await read(id, state);
      return found && { id, state: found, inputs: readInputs(FIELDS, found, inputs) };
    },

    update: () => Promise.reject(new Error("ovh.ip.Reverse: every change is a replacement")),

    delete: async (_call, { id, state }) => {
      await callIfThere(api, "DELETE", path(state, id));
    },
  };
}

async function post(api: OvhApi, inputs: Properties): Promise<string> {
  const body = { ipReverse: inputs.ReverseIp ?? "", reverse: inputs.ReverseValue ?? "" };
  const readiness = inputs.readinessTimeoutDuration;
  const failed = (error: unknown): Error =>
    new Error(`Failed to create OVH IP Reverse: ${(error as Error).message}`, { cause: error });
  let lastRefusal: unknown;

  return until(
    async () => {
      try {
        return textOf(((await api.call("POST", path(inputs), body)) as Properties).ipReverse);
      } catch (error) {
        // The API answers 400 as long as the name does not point to the address.
        if (!(error instanceof OvhError && error.status === 400)) throw failed(error);
        lastRefusal = error;
        return undefined;
      }
    },
    {
      ...api.patience,
      every: BETWEEN_ATTEMPTS_MS,
      limit: typeof readiness === "string" ? (parseDuration(readiness) ?? 0) : DEFAULT_READINESS_MS,
      late: () => failed(lastRefusal),
    },
  );
}

function path({ ip }: Properties, id?: string): string {
  return `/ip/${escapePath(textOf(ip))}/reverse${id === undefined ? "" : `/${escapePath(id)}`}`;
}

function readKey({ id, state }: Existing): Existing {
  if (state.ip !== undefined) {
    return { id, state };
  }
  const [ip = "", reverse] = id.split("|");
  if (reverse === undefined) {
    throw new Error(`Import Id is not ip|ip_reverse formatted: ${JSON.stringify(id)}`);
  }
  return { id: reverse, state: { ip } };
}

function refuseDuration(value: Value): string | undefined {
  return typeof value === "string" && parseDuration(value) !== undefined
    ? undefined
    : `expected a duration such as "5m", got ${JSON.stringify(value)}`;
}

function parseDuration(text: string): number | undefined {
  const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];

  return parts.length > 0 && parts.map(([part]) => part).join("") === text
    ? parts.reduce((sum, [, number, unit = ""]) => sum + Number(number) * (units[unit] ?? 0), 0)
    : undefined;
}
