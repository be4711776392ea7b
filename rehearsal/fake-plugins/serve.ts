import process from "node:process";

import type grpc from "@grpc/grpc-js";
import pluginMessages from "@pulumi/pulumi/proto/plugin_pb.js";
import services from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import type struct from "google-protobuf/google/protobuf/struct_pb.js";

import { differences } from "../../provider/plugin/diff.ts";
import { EngineLog, type Severity } from "../../provider/plugin/engine-log.ts";
import { diffResponse } from "../../provider/plugin/responses.ts";
import { engineAddressOf, serveEngine, unary } from "../../provider/plugin/rpc.ts";
import { decode, encode } from "../../provider/plugin/wire.ts";
import type { Call, Change, Failure, Plugin, Properties, ResourceType } from "./plugin.ts";

interface Request {
  getUrn(): string;
}

/** Serves `plugin` to the engine that started this process, until the engine ends. */
export async function servePlugin(plugin: Plugin): Promise<void> {
  await serveEngine(
    {
      definition: services.ResourceProviderService,
      methods: renderMethods(plugin, engineAddressOf(process.argv.slice(2))),
    },
    () => process.exit(1),
  );
}

function renderMethods(plugin: Plugin, engineAddress: string | undefined): grpc.UntypedServiceImplementation {
  const cancellation = new AbortController();
  const log = new EngineLog();
  if (engineAddress !== undefined) {
    log.connect(engineAddress);
  }

  return {
    getPluginInfo: unary(() => new pluginMessages.PluginInfo().setVersion(plugin.version)),
    attach: unary((request: pluginMessages.PluginAttach) => {
      log.connect(request.getAddress());
      return new empty.Empty();
    }),
    getSchema: unary(() =>
      new messages.GetSchemaResponse().setSchema(
        JSON.stringify({ name: plugin.name, version: plugin.version }),
      ),
    ),
    cancel: unary(() => {
      cancellation.abort(new Error("the operation was cancelled"));
      return new empty.Empty();
    }),
    ...renderResourceMethods(plugin, { log, signal: cancellation.signal }),
  };
}

function renderResourceMethods(
  plugin: Plugin,
  { log, signal }: { readonly log: EngineLog; readonly signal: AbortSignal },
): grpc.UntypedServiceImplementation {
  let types: Readonly<Record<string, ResourceType>> = {};
  const typeOf = (request: Request): ResourceType => {
    const token = request.getUrn().split("::").at(-2)?.split("$").at(-1) ?? "";
    const type = types[token];
    if (type === undefined) {
      throw new Error(`the rehearsal's ${plugin.name} plugin has no resource type ${token}`);
    }
    return type;
  };
  const callOf = (request: Request, preview = false): Call => {
    const urn = request.getUrn();
    const send = (severity: Severity, isStatus: boolean) => (text: string) => {
      log.send({ severity, text, urn, isStatus });
    };
    return { name: urn.split("::").at(-1) ?? "", preview, signal, status: send("info", true) };
  };

  return {
    checkConfig: unary((request: messages.CheckRequest) =>
      checkResponse(request.getNews(), plugin.checkConfig?.(read(request.getNews())) ?? []),
    ),
    diffConfig: unary((request: messages.DiffRequest) =>
      diffResponse(differences(read(request.getOldInputs()), read(request.getNews())), {
        replaceOn: [],
        deleteBeforeReplace: false,
      }),
    ),
    configure: unary(async (request: messages.ConfigureRequest) => {
      types = await plugin.configure(read(request.getArgs()), signal);
      // The engine then removes the marks of secrets and puts them back on outputs of the same name. The official plugins do no more for these
      // types.
      return new messages.ConfigureResponse().setAcceptsecrets(false).setSupportspreview(true);
    }),

    check: unary((request: messages.CheckRequest) =>
      checkResponse(request.getNews(), typeOf(request).check(read(request.getNews()))),
    ),
    diff: unary((request: messages.DiffRequest) => {
      const existing = { id: request.getId(), state: read(request.getOlds()) };
      const ignored = new Set(request.getIgnorechangesList());
      const changes = typeOf(request).diff(existing, read(request.getNews()));
      return changeResponse(changes.filter((change) => !ignored.has(change.property)));
    }),
    create: unary(async (request: messages.CreateRequest) => {
      const call = callOf(request, request.getPreview());
      const { id, state } = await typeOf(request).create(call, read(request.getProperties()));
      return new messages.CreateResponse().setId(id).setProperties(write(state));
    }),
    read: unary(async (request: messages.ReadRequest) => {
      const existing = { id: request.getId(), state: read(request.getProperties()) };
      const found = await typeOf(request).read(callOf(request), existing, read(request.getInputs()));
      const response = new messages.ReadResponse();
      // A response without an id says that the resource is gone.
      return found === undefined
        ? response
        : response.setId(found.id).setProperties(write(found.state)).setInputs(write(found.inputs));
    }),
    update: unary(async (request: messages.UpdateRequest) => {
      const existing = { id: request.getId(), state: read(request.getOlds()) };
      const call = callOf(request, request.getPreview());
      const state = await typeOf(request).update(call, existing, read(request.getNews()));
      return new messages.UpdateResponse().setProperties(write(state));
    }),
    delete: unary(async (request: messages.DeleteRequest) => {
      const existing = { id: request.getId(), state: read(request.getProperties()) };
      await typeOf(request).delete(callOf(request), existing);
      return new empty.Empty();
    }),
  };
}

function checkResponse(
  inputs: struct.Struct | undefined,
  failures: readonly Failure[],
): messages.CheckResponse {
  const response = new messages.CheckResponse().setInputs(inputs);
  for (const { property, reason } of failures) {
    response.addFailures(new messages.CheckFailure().setProperty(property).setReason(reason));
  }
  return response;
}

function changeResponse(changes: readonly Change[]): messages.DiffResponse {
  const replaceOn = changes.filter(({ replace }) => replace).map(({ property }) => property);
  const response = diffResponse(
    changes.map(({ property, kind }) => ({ path: property, kind })),
    { replaceOn, deleteBeforeReplace: false },
  );
  // These changes are between the state and the inputs, not between old and new inputs.
  response.getDetaileddiffMap().forEach((detail) => detail.setInputdiff(false));
  return response;
}

/** Gives the plain values; the provider's own arguments come with their secrets marked, whatever the plugin accepts. */
function read(message: struct.Struct | undefined): Properties {
  return decode(message).values as Properties;
}

function write(values: Properties): struct.Struct {
  return encode({ values, secrets: [] });
}
