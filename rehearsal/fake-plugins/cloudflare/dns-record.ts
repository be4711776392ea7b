import { isDeepStrictEqual } from "node:util";

import { UNKNOWN } from "../../../provider/plugin/wire.ts";
import { checkFields, compact, diffFields, readInputs, type Fields } from "../bridged.ts";
import { textOf, type Existing, type Properties, type ResourceType, type Value } from "../plugin.ts";
import { CloudflareError, type CallCloudflare } from "./client.ts";

const FIELDS: Fields = {
  zoneId: { required: true, replace: true },
  type: { required: true, replace: true },
  name: { required: true, isSame: isSameName },
  ttl: { required: true },
  content: { computed: true },
  data: { isSame: containsAll },
  proxied: { fallback: false },
  comment: {},
  priority: {},
  tags: { computed: true },
  settings: { computed: true, isSame: containsAll },
};
const COMPUTED = [
  "content",
  "createdOn",
  "modifiedOn",
  "commentModifiedOn",
  "tagsModifiedOn",
  "meta",
  "proxiable",
  "settings",
  "tags",
];

/** `cloudflare.DnsRecord`. */
export function createDnsRecordType(call: CallCloudflare): ResourceType {
  return {
    check: (inputs) => checkFields(FIELDS, inputs),
    diff: ({ state }, inputs) => diffFields(FIELDS, state, inputs),

    create: async ({ preview }, inputs) => {
      const plan = { ...inputs, proxied: inputs.proxied ?? false };
      if (preview) {
        return { id: "", state: { ...unknown(COMPUTED), ...plan } };
      }
      // The official plugin checks this here only, neither in a preview nor in an update.
      if (plan.proxied === true && inputs.ttl !== 1) {
        throw new Error("ttl must be set to 1 when `proxied` is true");
      }
      const record = readRecord(await call("post", path(inputs), renderBody(plan)));
      return { id: record.id, state: { ...record.computed, ...plan, id: record.id } };
    },

    read: async (_call, existing, inputs) => {
      const { id, zoneId } = readKey(existing);
      try {
        const record = readRecord(await call("get", path({ zoneId }, id)));
        const state = { ...record.computed, ...record.settable, zoneId, id: record.id };
        return { id: record.id, state, inputs: readInputs(FIELDS, state, inputs) };
      } catch (error) {
        if (error instanceof CloudflareError && error.status === 404) {
          return undefined;
        }
        throw error;
      }
    },

    update: async ({ preview }, { id, state }, inputs) => {
      const plan = { ...inputs, proxied: inputs.proxied ?? false };
      if (preview) {
        return { ...state, ...plan, modifiedOn: UNKNOWN };
      }
      const body = {
        // A value that the program no longer sets is removed by an explicit null.
        ...Object.fromEntries(
          ["comment", "priority"].filter((key) => key in state).map((key) => [key, null]),
        ),
        ...renderBody({
          ...plan,
          settings: inputs.settings ?? state.settings ?? {},
          tags: inputs.tags ?? state.tags ?? [],
        }),
      };
      const record = readRecord(await call("put", path(inputs, id), body));
      return { ...record.computed, ...plan, id: record.id };
    },

    // A record that is already gone is an error here, as in the official plugin. Only a refresh fixes that.
    delete: async (_call, { id, state }) => {
      await call("delete", path(state, id));
    },
  };
}

function path({ zoneId }: Properties, id?: string): string {
  return `/zones/${textOf(zoneId)}/dns_records${id === undefined ? "" : `/${id}`}`;
}

function readKey({ id, state }: Existing): { id: string; zoneId: Value } {
  if (state.zoneId !== undefined) {
    return { id, zoneId: state.zoneId };
  }
  const [zoneId = "", recordId] = id.split("/");
  if (recordId === undefined) {
    throw new Error(
      `invalid ID: expected urlencoded segments <zone_id>/<dns_record_id>, got ${JSON.stringify(id)}`,
    );
  }
  return { id: recordId, zoneId };
}

function renderBody({ zoneId: _path, ...properties }: Properties): Properties {
  const { data, settings, ...plain } = properties;
  return compact({ ...plain, data: data && snakeCase(data), settings: settings && snakeCase(settings) });
}

interface DnsRecord {
  readonly id: string;
  readonly settable: Properties;
  readonly computed: Properties;
}

function readRecord(result: Properties): DnsRecord {
  const { id, name, type, content, ttl, proxied, comment, priority, data, settings, tags } = result;

  return {
    id: textOf(id),
    settable: compact({
      name,
      type,
      content,
      ttl,
      proxied,
      comment,
      priority,
      data: data && camelCase(data),
      settings: settings && camelCase(settings),
      tags,
    }),
    computed: compact({
      content,
      createdOn: result.created_on,
      modifiedOn: result.modified_on,
      commentModifiedOn: result.comment_modified_on,
      tagsModifiedOn: result.tags_modified_on,
      meta: JSON.stringify(result.meta ?? {}),
      proxiable: result.proxiable,
      settings: camelCase(settings ?? {}),
      tags: tags ?? [],
    }),
  };
}

// The API always answers with the full name, and with the name of the zone for "@".
function isSameName(old: Value, fresh: Value): boolean {
  const [full, given] = [textOf(old).toLowerCase(), textOf(fresh).toLowerCase()];
  return full === given || full.startsWith(`${given}.`) || given === "@";
}

function containsAll(old: Value, fresh: Value): boolean {
  return Object.entries(fresh as Properties).every(([key, value]) =>
    isDeepStrictEqual((old as Properties)[key], value),
  );
}

function snakeCase(value: Value): Value {
  return renameKeys(value, (key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function camelCase(value: Value): Value {
  return renameKeys(value, (key) =>
    key.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
  );
}

function renameKeys(value: Value, rename: (key: string) => string): Value {
  return Object.fromEntries(Object.entries(value as Properties).map(([key, inner]) => [rename(key), inner]));
}

function unknown(names: readonly string[]): Properties {
  return Object.fromEntries(names.map((name) => [name, UNKNOWN]));
}
