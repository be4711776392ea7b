/** Drives the plugin as the engine does: its executable, over gRPC. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import grpc from "@grpc/grpc-js";
import providerRpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import rpcStatus from "@pulumi/pulumi/proto/status_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_TEXT } from "../../common/property-signatures.ts";
import { MESSAGE_LIMITS } from "../../provider/plugin/rpc.ts";
import { startEngineLog, type EngineLogDouble, type LogLine } from "../support/engine-log.ts";

const EXECUTABLE = join(import.meta.dirname, "../../provider/pulumi-resource-technicia");

type Values = Record<string, unknown>;

/** A value as the engine sends what is not known yet. */
export const unknown = UNKNOWN_TEXT;

/** A value as the engine sends a secret. */
export function secret(value: unknown): Values {
  return { [SIGNATURE_KEY]: SECRET_SIGNATURE, value };
}

/** A resource as the engine keeps it. */
export interface Resource {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly inputs: Values;
  readonly state: Values;
}

export interface Difference {
  readonly changes: boolean;
  readonly replaces: readonly string[];
  readonly deleteBeforeReplace: boolean;
  readonly detailed: Readonly<Record<string, string>>;
}

/** What a failed call carries when a part was done. */
export interface Partial {
  readonly id: string;
  readonly state: Values;
  readonly reasons: readonly string[];
}

/** A failure as the engine receives it. */
export class CallFailure extends Error {
  readonly partial: Partial | undefined;

  constructor(error: grpc.ServiceError) {
    super(error.details);
    this.partial = partialOf(error);
  }
}

export interface CallOptions {
  readonly preview?: boolean;
  readonly timeoutSeconds?: number;
}

export class Plugin {
  readonly logs: LogLine[];
  readonly process: ChildProcess;
  #isSpent = false;
  readonly #client: providerRpc.ResourceProviderClient;
  readonly #engine: EngineLogDouble;

  private constructor(
    process: ChildProcess,
    client: providerRpc.ResourceProviderClient,
    engine: EngineLogDouble,
  ) {
    this.process = process;
    this.#client = client;
    this.#engine = engine;
    this.logs = engine.lines;
  }

  /** Starts the plugin and configures it as a `Connection` with these arguments would. */
  static async start(
    settings: Values,
    environment: Readonly<Record<string, string | undefined>> = {},
    executable = EXECUTABLE,
  ): Promise<Plugin> {
    const engine = await startEngineLog();
    const child = spawn(executable, [engine.address], {
      cwd: "/",
      // CI makes some refusals warnings: a test that wants this sets it.
      env: { ...process.env, CI: undefined, ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await Promise.race([
      once(createInterface({ input: child.stdout }), "line").then(([line]) => String(line)),
      once(child, "exit").then(([code]) =>
        Promise.reject(new Error(`the plugin ended with ${String(code)} before it told its port`)),
      ),
    ]);
    const client = new providerRpc.ResourceProviderClient(
      `127.0.0.1:${port}`,
      grpc.credentials.createInsecure(),
      MESSAGE_LIMITS,
    );
    const plugin = new Plugin(child, client, engine);
    const handshake = new provider.ProviderHandshakeRequest().setEngineAddress(engine.address);
    await call<provider.ProviderHandshakeResponse>((reply) => client.handshake(handshake, reply));
    await plugin.configure(settings);
    return plugin;
  }

  /** The same plugin with nothing logged yet, or another where a test has ended it: starting one takes most of a short test. */
  static async renew(before: Plugin | undefined, settings: Values): Promise<Plugin> {
    if (before !== undefined && !before.#isSpent && before.process.signalCode === null) {
      before.logs.length = 0;
      return before;
    }
    await before?.stop();
    return Plugin.start(settings);
  }

  async configure(settings: Values): Promise<void> {
    await call((reply) =>
      this.#client.configure(new provider.ConfigureRequest().setArgs(toStruct(settings)), reply),
    );
  }

  async checkConfig(settings: Values): Promise<readonly string[]> {
    const response = await call<provider.CheckResponse>((reply) =>
      this.#client.checkConfig(new provider.CheckRequest().setNews(toStruct(settings)), reply),
    );
    return response.getFailuresList().map((failure) => failure.getReason());
  }

  async diffConfig(olds: Values, news: Values): Promise<Difference> {
    const request = new provider.DiffRequest()
      .setOldInputs(toStruct(olds))
      .setOlds(toStruct(olds))
      .setNews(toStruct(news));
    return toDifference(await call((reply) => this.#client.diffConfig(request, reply)));
  }

  /** Gives the checked inputs, and every problem. */
  async check(type: string, inputs: Values): Promise<{ inputs: Values; problems: readonly string[] }> {
    const request = new provider.CheckRequest()
      .setUrn(urnOf(type, "x"))
      .setNews(toStruct(inputs))
      .setOlds(toStruct({}));
    const response = await call<provider.CheckResponse>((reply) => this.#client.check(request, reply));
    return {
      inputs: toValues(response.getInputs()),
      problems: response.getFailuresList().map((failure) => failure.getReason()),
    };
  }

  /** Checks and creates, as the engine does; a problem with the inputs is an error. */
  async create(type: string, name: string, given: Values, options: CallOptions = {}): Promise<Resource> {
    const inputs = await this.#checked(type, given);
    const request = new provider.CreateRequest()
      .setUrn(urnOf(type, name))
      .setProperties(toStruct(inputs))
      .setPreview(options.preview ?? false)
      .setTimeout(options.timeoutSeconds ?? 0);
    const response = await call<provider.CreateResponse>((reply) => this.#client.create(request, reply));
    return { type, name, id: response.getId(), inputs, state: toValues(response.getProperties()) };
  }

  /** Undefined when it is gone. */
  async read(resource: Resource): Promise<Resource | undefined> {
    const request = new provider.ReadRequest()
      .setId(resource.id)
      .setUrn(urnOf(resource.type, resource.name))
      .setInputs(toStruct(resource.inputs))
      .setProperties(toStruct(resource.state));
    return this.#readBack(resource, request);
  }

  async import(type: string, id: string): Promise<Resource | undefined> {
    const request = new provider.ReadRequest()
      .setId(id)
      .setUrn(urnOf(type, "imported"))
      .setProperties(toStruct({}));
    return this.#readBack({ type, name: "imported" }, request);
  }

  async diff(resource: Resource, given: Values): Promise<Difference> {
    const inputs = await this.#checked(resource.type, given);
    const request = new provider.DiffRequest()
      .setId(resource.id)
      .setUrn(urnOf(resource.type, resource.name))
      .setOldInputs(toStruct(resource.inputs))
      .setOlds(toStruct(resource.state))
      .setNews(toStruct(inputs));
    return toDifference(await call((reply) => this.#client.diff(request, reply)));
  }

  async update(resource: Resource, given: Values, options: CallOptions = {}): Promise<Resource> {
    const inputs = await this.#checked(resource.type, given);
    const request = new provider.UpdateRequest()
      .setId(resource.id)
      .setUrn(urnOf(resource.type, resource.name))
      .setOldInputs(toStruct(resource.inputs))
      .setOlds(toStruct(resource.state))
      .setNews(toStruct(inputs))
      .setPreview(options.preview ?? false)
      .setTimeout(options.timeoutSeconds ?? 0);
    const response = await call<provider.UpdateResponse>((reply) => this.#client.update(request, reply));
    return { ...resource, inputs, state: toValues(response.getProperties()) };
  }

  async delete(resource: Resource): Promise<void> {
    const request = new provider.DeleteRequest()
      .setId(resource.id)
      .setUrn(urnOf(resource.type, resource.name))
      .setOldInputs(toStruct(resource.inputs))
      .setProperties(toStruct(resource.state));
    await call((reply) => this.#client.delete(request, reply));
  }

  async cancel(): Promise<void> {
    this.#isSpent = true;
    await call((reply) => this.#client.cancel(new empty.Empty(), reply));
  }

  /** Ends the plugin as the engine does. */
  async stop(): Promise<void> {
    this.#isSpent = true;
    this.#client.close();
    this.#engine.stop();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill("SIGKILL");
      await once(this.process, "exit");
    }
  }

  async #checked(type: string, given: Values): Promise<Values> {
    const { inputs, problems } = await this.check(type, given);
    if (problems.length > 0) {
      throw new Error(problems.join("\n"));
    }
    return inputs;
  }

  async #readBack(
    { type, name }: Pick<Resource, "type" | "name">,
    request: provider.ReadRequest,
  ): Promise<Resource | undefined> {
    const response = await call<provider.ReadResponse>((reply) => this.#client.read(request, reply));
    if (response.getId() === "") {
      return undefined;
    }
    return {
      type,
      name,
      id: response.getId(),
      inputs: toValues(response.getInputs()),
      state: toValues(response.getProperties()),
    };
  }
}

export function urnOf(type: string, name: string): string {
  return `urn:pulumi:test::technicia::${type}::${name}`;
}

function call<S>(
  send: (reply: (error: grpc.ServiceError | null, response: S) => void) => unknown,
): Promise<S> {
  return new Promise((resolve, reject) => {
    send((error, response) => (error ? reject(new CallFailure(error)) : resolve(response)));
  });
}

function toStruct(values: Values): struct.Struct {
  return struct.Struct.fromJavaScript(values as Record<string, struct.JavaScriptValue>);
}

function toValues(message: struct.Struct | undefined): Values {
  return message?.toJavaScript() ?? {};
}

function toDifference(response: provider.DiffResponse): Difference {
  const names = new Map<number, string>(
    Object.entries(provider.PropertyDiff.Kind).map(([name, kind]) => [Number(kind), name.toLowerCase()]),
  );
  const detailed: Record<string, string> = {};
  response.getDetaileddiffMap().forEach((diff, path) => {
    detailed[path] = names.get(diff.getKind()) ?? "";
  });
  return {
    changes: response.getChanges() === provider.DiffResponse.DiffChanges.DIFF_SOME,
    replaces: response.getReplacesList(),
    deleteBeforeReplace: response.getDeletebeforereplace(),
    detailed,
  };
}

function partialOf(error: grpc.ServiceError): Partial | undefined {
  const [details] = error.metadata.get("grpc-status-details-bin");
  if (!(details instanceof Buffer)) {
    return undefined;
  }
  const [packed] = rpcStatus.Status.deserializeBinary(details).getDetailsList();
  const failed = packed?.unpack(
    (bytes) => provider.ErrorResourceInitFailed.deserializeBinary(bytes),
    "pulumirpc.ErrorResourceInitFailed",
  );
  return failed
    ? { id: failed.getId(), state: toValues(failed.getProperties()), reasons: failed.getReasonsList() }
    : undefined;
}
