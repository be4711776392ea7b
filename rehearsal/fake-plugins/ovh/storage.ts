/** `ovh.cloudproject.Storage` and its lifecycle, as the official plugin calls the API for them. */
import { checkFields, diffFields, readInputs, type Fields } from "../bridged.ts";
import { textOf, type Existing, type Properties, type ResourceType } from "../plugin.ts";
import { callIfThere, escapePath, type OvhApi } from "./client.ts";

const PLACE = {
  serviceName: { required: true, replace: true },
  regionName: { required: true, replace: true },
} as const;

const BUCKET: Fields = {
  ...PLACE,
  name: { required: true, replace: true },
  encryption: { computed: true },
  hideObjects: {},
  limit: { computed: true },
  marker: { computed: true },
  objectLock: { computed: true },
  ownerId: { computed: true, replace: true },
  prefix: { computed: true },
  replication: { computed: true },
  tags: { computed: true },
  versioning: { computed: true },
};

const LIFECYCLE: Fields = {
  ...PLACE,
  containerName: { required: true, replace: true },
  rules: { required: true },
};

const WRITTEN = ["encryption", "tags", "objectLock", "replication", "versioning"] as const;

export function createStorageType(api: OvhApi): ResourceType {
  const read = async (state: Properties): Promise<Properties | undefined> => {
    const found = (await callIfThere(api, "GET", `${bucketPath(state)}?`)) as Properties | undefined;
    return found && { ...state, ...found, ...(state.hideObjects === true && { objects: [] }) };
  };
  return {
    check: (inputs) => checkFields(BUCKET, inputs),
    diff: ({ state }, inputs) => diffFields(BUCKET, state, inputs),

    create: async (call, inputs) => {
      if (call.preview) return { id: "", state: inputs };
      const body = { name: inputs.name!, ...written(inputs) };
      const made = (await api.call("POST", storagePath(inputs), body)) as Properties;
      return { id: idOf(inputs, inputs.name), state: { ...inputs, ...made } };
    },

    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing, "name");
      const found = await read(state);
      return found && { id, state: found, inputs: readInputs(BUCKET, found, inputs) };
    },

    update: async (call, { state }, inputs) => {
      if (call.preview) return { ...state, ...inputs };
      await api.call("PUT", bucketPath(state), written(inputs));
      return (await read({ ...state, ...inputs })) ?? { ...state, ...inputs };
    },

    // The official plugin deletes every object first, which the account does not offer here: nothing may get that far.
    delete: async (_call, { state }) => {
      await callIfThere(api, "GET", `${bucketPath(state)}/object?withVersions=true`);
      await callIfThere(api, "DELETE", bucketPath(state));
    },
  };
}

export function createLifecycleType(api: OvhApi): ResourceType {
  const path = (state: Properties) =>
    `${bucketPath({ ...state, name: state.containerName ?? "" })}/lifecycle`;
  const put = async (inputs: Properties): Promise<Properties> => {
    const answer = (await api.call("PUT", path(inputs), { rules: inputs.rules! })) as Properties;
    return { ...inputs, rules: answer.rules ?? [] };
  };
  return {
    check: (inputs) => checkFields(LIFECYCLE, inputs),
    diff: ({ state }, inputs) => diffFields(LIFECYCLE, state, inputs),
    create: async (call, inputs) =>
      call.preview
        ? { id: "", state: inputs }
        : { id: idOf(inputs, inputs.containerName), state: await put(inputs) },
    read: async (_call, existing, inputs) => {
      const { id, state } = readKey(existing, "containerName");
      const found = (await callIfThere(api, "GET", path(state))) as Properties | undefined;
      const whole = found && { ...state, rules: found.rules ?? [] };
      return whole && { id, state: whole, inputs: readInputs(LIFECYCLE, whole, inputs) };
    },
    update: async (call, { state }, inputs) =>
      call.preview ? { ...state, ...inputs } : await put({ ...state, ...inputs }),
    delete: async (_call, { state }) => void (await callIfThere(api, "DELETE", path(state))),
  };
}

function written(inputs: Properties): Properties {
  return Object.fromEntries(
    WRITTEN.flatMap((name) => (inputs[name] === undefined ? [] : [[name, inputs[name]]])),
  );
}

function storagePath({ serviceName, regionName }: Properties): string {
  return `/cloud/project/${escapePath(textOf(serviceName))}/region/${escapePath(textOf(regionName))}/storage`;
}

function bucketPath(state: Properties): string {
  return `${storagePath(state)}/${escapePath(textOf(state.name))}`;
}

function idOf({ serviceName, regionName }: Properties, name: Properties[string] | undefined): string {
  return [serviceName, regionName, name].map((part) => textOf(part)).join("/");
}

function readKey({ id, state }: Existing, last: "name" | "containerName"): Existing {
  if (state.serviceName !== undefined) return { id, state };
  const [serviceName = "", regionName = "", name, ...rest] = id.split("/");
  if (name === undefined || rest.length > 0)
    throw new Error("ID must be formatted like the following: <service_name>/<region_name>/<storage_name>");
  return { id, state: { serviceName, regionName, [last]: name } };
}
