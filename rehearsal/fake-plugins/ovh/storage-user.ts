/** `ovh.cloudproject.User`, its S3 policy and its S3 key, as the official plugin calls the API for them. */
import { isDeepStrictEqual } from "node:util";

import { until } from "../../../common/until.ts";
import { checkFields, diffFields, readInputs, type Fields } from "../bridged.ts";
import { textOf, type Existing, type Properties, type ResourceType, type Value } from "../plugin.ts";
import { callIfThere, escapePath, type OvhApi } from "./client.ts";

const USER: Fields = {
  serviceName: { required: true, replace: true },
  description: { replace: true },
  roleName: {},
  roleNames: {},
  openstackRc: { computed: true },
  passwordReset: {},
};
const OF_USER = {
  serviceName: { required: true, replace: true },
  userId: { required: true, replace: true },
} as const;
const POLICY: Fields = { ...OF_USER, policy: { required: true, isSame: isSameJson } };
const KEY: Fields = OF_USER;
const READY_MS = 600_000;

/** What the official plugin writes in place of a policy that is deleted. */
const NO_POLICY = '{"Statement":[]}';

export function createUserType(api: OvhApi): ResourceType {
  const read = async (id: string, state: Properties): Promise<Properties | undefined> => {
    const found = (await callIfThere(api, "GET", userPath(state, id))) as Properties | undefined;
    if (!found) return undefined;
    await api.call("GET", `${userPath(state, id)}/openrc?region=to_be_overriden&version=v3`);
    const { creationDate = "", description = "", status = "", username = "", roles = [] } = found;
    return { ...state, creationDate, description, status, username, roles };
  };
  return {
    check: (inputs) => checkFields(USER, inputs),
    diff: ({ state }, inputs) => diffFields(USER, state, inputs),

    create: async (call, inputs) => {
      if (call.preview) return { id: "", state: inputs };
      const { roles } = (await api.call("GET", `${projectPath(inputs)}/role`)) as {
        roles: readonly Properties[];
      };
      const wanted = [
        ...((inputs.roleNames ?? []) as readonly string[]),
        ...(inputs.roleName ? [textOf(inputs.roleName)] : []),
      ];
      const unknown = wanted.find((name) => !roles.some((role) => role.name === name));
      if (unknown !== undefined) throw new Error(`role ${JSON.stringify(unknown)} does not exist`);
      const body = {
        description: inputs.description ?? "",
        roles: inputs.roleNames ?? [],
        ...(inputs.roleName ? { role: inputs.roleName } : {}),
      };
      const made = (await api.call("POST", `${projectPath(inputs)}/user`, body)) as Properties;
      const id = textOf(made.id);
      await until(
        async () =>
          ((await callIfThere(api, "GET", userPath(inputs, id))) as Properties | undefined)?.status === "ok",
        {
          ...api.patience,
          every: 1_000,
          limit: READY_MS,
          late: () => new Error(`waiting for user (${id})`),
        },
      );
      return { id, state: (await read(id, { ...inputs, password: made.password ?? "" })) ?? inputs };
    },

    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing, ["serviceName"]);
      const found = await read(id, state);
      return found && { id, state: found, inputs: readInputs(USER, found, inputs) };
    },

    update: (_call, { state }, inputs) => Promise.resolve({ ...state, ...inputs }),
    delete: async (_call, { id, state }) => void (await callIfThere(api, "DELETE", userPath(state, id))),
  };
}

export function createPolicyType(api: OvhApi): ResourceType {
  const path = (state: Properties) => `${userPath(state, textOf(state.userId))}/policy`;
  const put = async (inputs: Properties): Promise<Properties> => {
    await api.call("POST", path(inputs), { policy: inputs.policy! });
    return inputs;
  };
  return {
    check: (inputs) => checkFields(POLICY, inputs),
    diff: ({ state }, inputs) => diffFields(POLICY, state, inputs),
    create: async (call, inputs) =>
      call.preview
        ? { id: "", state: inputs }
        : { id: `${textOf(inputs.serviceName)}/${textOf(inputs.userId)}`, state: await put(inputs) },
    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing, ["serviceName", "userId"]);
      const found = (await callIfThere(api, "GET", path(state))) as Properties | undefined;
      const whole = found && { ...state, policy: found.policy ?? "" };
      return whole && { id, state: whole, inputs: readInputs(POLICY, whole, inputs) };
    },
    update: async (call, { state }, inputs) =>
      call.preview ? { ...state, ...inputs } : await put({ ...state, ...inputs }),
    delete: async (_call, { state }) => void (await api.call("POST", path(state), { policy: NO_POLICY })),
  };
}

export function createKeyType(api: OvhApi): ResourceType {
  const path = (state: Properties) => `${userPath(state, textOf(state.userId))}/s3Credentials`;
  // It reads the secret, and any refusal is a failure: a key that somebody deleted stops a refresh.
  const read = async (id: string, state: Properties): Promise<Properties> => {
    const { secret = "" } = (await api.call("POST", `${path(state)}/${escapePath(id)}/secret`)) as Properties;
    return { ...state, accessKeyId: id, secretAccessKey: secret, internalUserId: state.userId ?? "" };
  };
  return {
    check: (inputs) => checkFields(KEY, inputs),
    diff: ({ state }, inputs) => diffFields(KEY, state, inputs),
    create: async (call, inputs) => {
      if (call.preview) return { id: "", state: inputs };
      const id = textOf(((await api.call("POST", path(inputs))) as Properties).access);
      return { id, state: await read(id, inputs) };
    },
    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing, ["serviceName", "userId"]);
      const found = await read(id, state);
      return { id, state: found, inputs: readInputs(KEY, found, inputs) };
    },
    update: () => Promise.reject(new Error("ovh.cloudproject.S3Credential: every change is a replacement")),
    delete: async (_call, { id, state }) =>
      void (await api.call("DELETE", `${path(state)}/${escapePath(id)}`)),
  };
}

function projectPath({ serviceName }: Properties): string {
  return `/cloud/project/${escapePath(textOf(serviceName))}`;
}

function userPath(state: Properties, id: string): string {
  return `${projectPath(state)}/user/${escapePath(id)}`;
}

/** An import names the parts before the id with slashes between. */
function readKey({ id, state }: Existing, names: readonly string[]): Existing {
  if (state.serviceName !== undefined) return { id, state };
  const parts = id.split("/");
  if (parts.length < names.length) throw new Error(`Import Id is not ${names.join("/")} formatted`);
  return {
    id: parts.at(-1) ?? "",
    state: Object.fromEntries(names.map((name, at) => [name, parts[at] ?? ""])),
  };
}

function isSameJson(old: Value, fresh: Value): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(textOf(old)), JSON.parse(textOf(fresh)));
  } catch {
    return false;
  }
}
