import { flushCompileCache } from "node:module";
import process from "node:process";

import grpc from "@grpc/grpc-js";
import engineServices from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineMessages from "@pulumi/pulumi/proto/engine_pb.js";
import pluginMessages from "@pulumi/pulumi/proto/plugin_pb.js";
import services from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";

import {
  isEqual,
  type Call,
  type Change,
  type Failure,
  type Plugin,
  type Properties,
  type ResourceType,
  type Value,
} from "./plugin.ts";

// How the engine marks an object that stands for a secret, and the property that holds the value then.
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

const PARENT_CHECK_MS = 2_000;
const NO_LIMIT = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

interface Request {
  getUrn(): string;
  getType(): string;
  getName(): string;
}
type Handler<In, Out> = (request: In) => Out | Promise<Out>;

/** Serves `plugin` to the engine that started this process, until it is cancelled or ends. */
export function servePlugin(plugin: Plugin): void {
  const parent = process.ppid;
  const server = new grpc.Server(NO_LIMIT);
  server.addService(
    services.ResourceProviderService,
    renderService(plugin, readEngineAddress(process.argv.slice(2))),
  );

  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) {
      throw error;
    }
    process.stdout.write(`${port}\n`);
    // The engine ends its plugins without asking; Node would have kept what it compiled only at the end.
    flushCompileCache();
  });

  // An engine that was killed stops nobody; without this its plugins would stay for ever.
  setInterval(() => {
    if (process.ppid !== parent) {
      process.exit(1);
    }
  }, PARENT_CHECK_MS).unref();
}

function readEngineAddress(args: readonly string[]): string | undefined {
  return args.filter((argument) => !argument.startsWith("-")).at(-1);
}

function renderService(plugin: Plugin, engineAddress: string | undefined): grpc.UntypedServiceImplementation {
  const cancellation = new AbortController();
  let types: Readonly<Record<string, ResourceType>> = {};
  let engine = connect(engineAddress);

  const typeOf = (request: Request): ResourceType => {
    // Engines before 3.130 send the URN alone.
    const token = request.getType() || (request.getUrn().split("::").at(-2)?.split("$").at(-1) ?? "");
    const type = types[token];
    if (type === undefined) {
      throw new Error(`the rehearsal's ${plugin.name} plugin has no resource type ${token}`);
    }
    return type;
  };
  const callOf = (request: Request, preview = false): Call => {
    const log = (severity: 1 | 2, message: string, ephemeral: boolean): void => {
      const line = new engineMessages.LogRequest();
      line.setSeverity(severity);
      line.setMessage(message);
      line.setUrn(request.getUrn());
      line.setEphemeral(ephemeral);
      engine?.log(line, () => undefined);
    };
    return {
      name: request.getName() || (request.getUrn().split("::").at(-1) ?? ""),
      preview,
      signal: cancellation.signal,
      status: (message) => {
        log(engineMessages.LogSeverity.INFO, message, true);
      },
      warn: (message) => {
        log(engineMessages.LogSeverity.WARNING, message, false);
      },
    };
  };

  return {
    getPluginInfo: unary(() => {
      const info = new pluginMessages.PluginInfo();
      info.setVersion(plugin.version);
      return info;
    }),
    attach: unary((request: pluginMessages.PluginAttach) => {
      engine = connect(request.getAddress());
      return new empty.Empty();
    }),
    getSchema: unary(() => {
      const response = new messages.GetSchemaResponse();
      response.setSchema(JSON.stringify({ name: plugin.name, version: plugin.version }));
      return response;
    }),
    cancel: unary(() => {
      cancellation.abort(new Error("the operation was cancelled"));
      return new empty.Empty();
    }),

    checkConfig: unary((request: messages.CheckRequest) => {
      const failures = plugin.checkConfig?.(reveal(read(request.getNews()))) ?? [];
      return renderCheck(request.getNews(), failures);
    }),
    diffConfig: unary((request: messages.DiffRequest) => {
      const [olds, news] = [read(request.getOldInputs()), read(request.getNews())];
      const keys = new Set([...Object.keys(olds), ...Object.keys(news)]);
      return renderDiff(
        [...keys]
          .filter((key) => !isEqual(olds[key], news[key]))
          .map((property) => ({ property, kind: "update", replace: false })),
      );
    }),
    configure: unary(async (request: messages.ConfigureRequest) => {
      types = await plugin.configure(reveal(read(request.getArgs())), cancellation.signal);
      const response = new messages.ConfigureResponse();
      // The engine then takes the secrets out and puts the marks back on outputs of the same name, which is all that
      // the official plugins do for these types.
      response.setAcceptsecrets(false);
      response.setSupportspreview(true);
      return response;
    }),

    check: unary((request: messages.CheckRequest) => {
      return renderCheck(request.getNews(), typeOf(request).check(read(request.getNews())));
    }),
    diff: unary((request: messages.DiffRequest) => {
      const existing = { id: request.getId(), state: read(request.getOlds()) };
      const ignored = new Set(request.getIgnorechangesList());
      const changes = typeOf(request).diff(existing, read(request.getNews()));
      return renderDiff(changes.filter((change) => !ignored.has(change.property)));
    }),
    create: unary(async (request: messages.CreateRequest) => {
      const call = callOf(request, request.getPreview());
      const { id, state } = await typeOf(request).create(call, read(request.getProperties()));
      const response = new messages.CreateResponse();
      response.setId(id);
      response.setProperties(write(state));
      return response;
    }),
    read: unary(async (request: messages.ReadRequest) => {
      const existing = { id: request.getId(), state: read(request.getProperties()) };
      const found = await typeOf(request).read(callOf(request), existing, read(request.getInputs()));
      const response = new messages.ReadResponse();
      // No id says that the resource is gone.
      if (found !== undefined) {
        response.setId(found.id);
        response.setProperties(write(found.state));
        response.setInputs(write(found.inputs));
      }
      return response;
    }),
    update: unary(async (request: messages.UpdateRequest) => {
      const existing = { id: request.getId(), state: read(request.getOlds()) };
      const call = callOf(request, request.getPreview());
      const response = new messages.UpdateResponse();
      response.setProperties(write(await typeOf(request).update(call, existing, read(request.getNews()))));
      return response;
    }),
    delete: unary(async (request: messages.DeleteRequest) => {
      const existing = { id: request.getId(), state: read(request.getProperties()) };
      await typeOf(request).delete(callOf(request), existing);
      return new empty.Empty();
    }),
  };
}

function unary<In, Out>(handle: Handler<In, Out>): grpc.handleUnaryCall<In, Out> {
  return (call, done) => {
    Promise.resolve()
      .then(() => handle(call.request))
      .then(
        (response) => {
          done(null, response);
        },
        (error: unknown) => {
          done({
            code: grpc.status.UNKNOWN,
            details: error instanceof Error ? error.message : String(error),
          });
        },
      );
  };
}

function connect(address: string | undefined): InstanceType<typeof engineServices.EngineClient> | undefined {
  return address === undefined
    ? undefined
    : new engineServices.EngineClient(address, grpc.credentials.createInsecure(), NO_LIMIT);
}

function renderCheck(
  inputs: struct.Struct | undefined,
  failures: readonly Failure[],
): messages.CheckResponse {
  const response = new messages.CheckResponse();
  response.setInputs(inputs);
  response.setFailuresList(
    failures.map(({ property, reason }) => {
      const failure = new messages.CheckFailure();
      failure.setProperty(property);
      failure.setReason(reason);
      return failure;
    }),
  );
  return response;
}

function renderDiff(changes: readonly Change[]): messages.DiffResponse {
  const { DiffChanges } = messages.DiffResponse;
  const { Kind } = messages.PropertyDiff;
  const kinds = {
    add: [Kind.ADD, Kind.ADD_REPLACE],
    delete: [Kind.DELETE, Kind.DELETE_REPLACE],
    update: [Kind.UPDATE, Kind.UPDATE_REPLACE],
  } as const;

  const response = new messages.DiffResponse();
  response.setChanges(changes.length === 0 ? DiffChanges.DIFF_NONE : DiffChanges.DIFF_SOME);
  response.setDiffsList(changes.map(({ property }) => property));
  response.setReplacesList(changes.filter(({ replace }) => replace).map(({ property }) => property));
  response.setHasdetaileddiff(true);
  for (const { property, kind, replace } of changes) {
    const detail = new messages.PropertyDiff();
    detail.setKind(kinds[kind][replace ? 1 : 0]);
    response.getDetaileddiffMap().set(property, detail);
  }
  return response;
}

function read(value: struct.Struct | undefined): Properties {
  return value?.toJavaScript() ?? {};
}

function write(properties: Properties): struct.Struct {
  return struct.Struct.fromJavaScript(properties);
}

/** The provider's own arguments come with their secrets marked, whatever the plugin says that it accepts. */
function reveal(properties: Properties): Properties {
  const open = (value: Value): Value => {
    if (typeof value !== "object" || value === null) {
      return value;
    }
    if (Array.isArray(value)) {
      return value.map(open);
    }
    const object = value as Properties;
    return object[SIGNATURE] === SECRET ? open(object.value ?? null) : reveal(object);
  };

  return Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, open(value)]));
}
