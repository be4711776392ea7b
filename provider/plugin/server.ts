/** Serves the engine: calls the resource definitions, and converts their results and failures. */
import type grpc from "@grpc/grpc-js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import { differences, rootOf } from "./diff.ts";
import { check } from "./check-inputs.ts";
import { parseUrn } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { AnyDefinition, Call, Log, Settings } from "./definition.ts";
import { EngineCall, type CallContext } from "./engine-call.ts";
import { EngineLog } from "./engine-log.ts";
import { Installation } from "./installation.ts";
import { stringsIn } from "../../common/redactor.ts";
import {
  derivedFrom,
  existingOf,
  inputsOf,
  known,
  previewState,
  secretTexts,
  stateOf,
  withoutVersion,
  type Values,
} from "./resource-state.ts";
import { checkResponse, diffResponse, toStatus } from "./responses.ts";
import { unary } from "./rpc.ts";
import { REPLACING_SETTINGS, SECRET_SETTINGS, settingsSchema, targetOf } from "./settings.ts";
import { prepareControlFolder } from "../ssh/control-folder.ts";
import { HostKeyChanged } from "../ssh/connect.ts";
import { Host } from "../ssh/host.ts";
import { decode, encode, hasUnknown, type Path } from "./wire.ts";

/** A call about one resource, and what it needs. */
interface Job<Q> {
  readonly request: Q;
  readonly definition: AnyDefinition;
  readonly engineCall: EngineCall;
}

const VERSION = "1.0.0";

export class Server {
  readonly #definitions: ReadonlyMap<string, AnyDefinition>;
  readonly #log = new EngineLog();
  readonly #cancelled = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #settings: Settings = {};
  #settingSecrets: readonly string[] = [];
  #host: Host | undefined;
  #installation: Installation | undefined;

  constructor(definitions: readonly AnyDefinition[], engineAddress: string | undefined) {
    this.#definitions = new Map(definitions.map((definition) => [definition.token, definition]));
    if (engineAddress !== undefined) this.#log.connect(engineAddress);
  }

  /** The gRPC service, method by method. */
  get methods(): grpc.UntypedServiceImplementation {
    return {
      handshake: this.#method((request: provider.ProviderHandshakeRequest) => {
        this.#log.connect(request.getEngineAddress());
        return new provider.ProviderHandshakeResponse()
          .setAcceptSecrets(true)
          .setAcceptResources(false)
          .setAcceptOutputs(false);
      }),
      attach: this.#method((request: plugin.PluginAttach) => {
        this.#log.connect(request.getAddress());
        return new empty.Empty();
      }),
      getPluginInfo: this.#method(() => new plugin.PluginInfo().setVersion(VERSION)),
      getSchema: this.#method(() =>
        new provider.GetSchemaResponse().setSchema(JSON.stringify({ name: "technicia", version: VERSION })),
      ),
      checkConfig: this.#method((request: provider.CheckRequest) => this.#checkConfig(request)),
      diffConfig: this.#method((request: provider.DiffRequest) => this.#diffConfig(request)),
      configure: this.#method((request: provider.ConfigureRequest) => this.#configure(request)),
      check: this.#resourceMethod((job: Job<provider.CheckRequest>) => this.#check(job)),
      diff: this.#resourceMethod((job: Job<provider.DiffRequest>) => this.#diff(job)),
      create: this.#resourceMethod((job: Job<provider.CreateRequest>) => this.#create(job)),
      read: this.#resourceMethod((job: Job<provider.ReadRequest>) => this.#read(job)),
      update: this.#resourceMethod((job: Job<provider.UpdateRequest>) => this.#update(job)),
      delete: this.#resourceMethod((job: Job<provider.DeleteRequest>) => this.#delete(job)),
      cancel: this.#method(() => {
        this.cancel();
        return new empty.Empty();
      }),
    };
  }

  /** Stops everything that runs, here and on the host, and refuses further calls. */
  cancel(): void {
    this.#cancelled.abort(new UserError("cancelled"));
    this.#host?.close();
  }

  /** Stops everything that runs and resolves once it has ended. */
  async end(): Promise<void> {
    this.cancel();
    await Promise.all(this.#running);
  }

  #checkConfig(request: provider.CheckRequest): provider.CheckResponse {
    const given = withoutVersion(decode(request.getNews()));
    const secrets: Path[] = [...given.secrets, ...SECRET_SETTINGS.map((name) => [name])];
    const { values, problems } = check(settingsSchema.shape, { values: given.values, secrets });
    const present = secrets.filter(([name]) => values[String(name)] !== undefined);
    return checkResponse({ values, secrets: present }, problems);
  }

  #diffConfig(request: provider.DiffRequest): provider.DiffResponse {
    const olds = withoutVersion(decode(request.getOldInputs() ?? request.getOlds()));
    const news = withoutVersion(decode(request.getNews()));
    return diffResponse(differences(olds.values, news.values), {
      replaceOn: REPLACING_SETTINGS,
      deleteBeforeReplace: false,
    });
  }

  #configure(request: provider.ConfigureRequest): provider.ConfigureResponse {
    const { values, secrets } = withoutVersion(decode(request.getArgs()));
    const result = settingsSchema.safeParse(values);
    if (!result.success) {
      const { problems } = check(settingsSchema.shape, {
        values,
        secrets: [...secrets, ...SECRET_SETTINGS.map((name) => [name])],
      });
      throw new UserError(`the connection's arguments have problems:\n  ${problems.join("\n  ")}`);
    }
    this.#settings = result.data;
    // Docker's plugin, which the engine starts after this one, logs in through it.
    if (result.data.hostAddress !== undefined) prepareControlFolder();
    this.#settingSecrets = [
      ...secretTexts({ values, secrets }),
      ...SECRET_SETTINGS.flatMap((name) => stringsIn(values[name])),
    ];
    this.#host?.close();
    this.#host = undefined;
    this.#installation = undefined;
    return new provider.ConfigureResponse()
      .setAcceptsecrets(true)
      .setAcceptresources(false)
      .setAcceptoutputs(false)
      .setSupportspreview(true);
  }

  #check({ request, definition }: Job<provider.CheckRequest>): provider.CheckResponse {
    const news = decode(request.getNews());
    const { values, problems } = check(definition.schema.shape, news);
    const isWhole = problems.length === 0 && !hasUnknown(values);
    const together = isWhole ? definition.checkTogether?.(values) : undefined;
    return checkResponse(derivedFrom(news, values), [...problems, ...(together ?? [])]);
  }

  #diff({ request, definition, engineCall }: Job<provider.DiffRequest>): provider.DiffResponse {
    const state = decode(request.getOlds());
    const olds = request.hasOldInputs() ? decode(request.getOldInputs()) : inputsOf(definition, state);
    const news = decode(request.getNews());
    engineCall.openCall(news, { others: [olds, state] });

    const plain = differences(olds.values, news.values);
    const existing = existingOf(definition, { id: request.getId(), inputs: olds, state });
    const further = definition.diff?.(existing, known(news.values)) ?? [];
    const replaced = further.filter((change) => change.replace === true).map((change) => change.path);
    const added = further.filter(({ path }) => !plain.some((difference) => difference.path === path));
    const all = [...plain, ...added.map(({ path }) => ({ path, kind: "update" as const }))];
    return diffResponse(all, {
      replaceOn: [...definition.replaceOn, ...replaced.map(rootOf)],
      deleteBeforeReplace: definition.deleteBeforeReplace ?? false,
    });
  }

  async #create(job: Job<provider.CreateRequest>): Promise<provider.CreateResponse> {
    const { request, definition, engineCall } = job;
    const inputs = decode(request.getProperties());
    const call = engineCall.openCall(inputs, {
      partialState: (outputs) => stateOf(definition, inputs, outputs as Values),
    });
    if (request.getPreview()) {
      const outputs = await definition.preview?.(call, known(inputs.values), undefined);
      const state = previewState(definition, inputs, (outputs ?? {}) as Values);
      return new provider.CreateResponse().setProperties(encode(state));
    }
    await this.#installationFor(call)?.claim(call);
    const { id, outputs } = (await definition.create(call, inputs.values)) as { id: string; outputs: Values };
    return new provider.CreateResponse()
      .setId(id)
      .setProperties(encode(stateOf(definition, inputs, outputs)));
  }

  async #read(job: Job<provider.ReadRequest>): Promise<provider.ReadResponse> {
    const { request, definition, engineCall } = job;
    const state = decode(request.getProperties());
    const inputs = request.hasInputs() ? decode(request.getInputs()) : inputsOf(definition, state);
    const call = engineCall.openCall(inputs, { others: [state] });
    const found = await definition.read(call, existingOf(definition, { id: request.getId(), inputs, state }));
    if (found === null) return new provider.ReadResponse();
    const { values, secrets } = derivedFrom(inputs, found.inputs as Values);
    const further = (found.secretInputs ?? []).map((name) => [name]);
    const foundInputs = { values, secrets: [...secrets, ...further] };
    return new provider.ReadResponse()
      .setId(found.id)
      .setInputs(encode(foundInputs))
      .setProperties(encode(stateOf(definition, foundInputs, found.outputs as Values)));
  }

  async #update(job: Job<provider.UpdateRequest>): Promise<provider.UpdateResponse> {
    const { request, definition, engineCall } = job;
    const state = decode(request.getOlds());
    const olds = request.hasOldInputs() ? decode(request.getOldInputs()) : inputsOf(definition, state);
    const news = decode(request.getNews());
    const call = engineCall.openCall(news, {
      others: [olds, state],
      partialState: (outputs) => stateOf(definition, news, outputs as Values),
    });
    const existing = existingOf(definition, { id: request.getId(), inputs: olds, state });
    if (request.getPreview()) {
      const outputs = await definition.preview?.(call, known(news.values), existing);
      const state = previewState(definition, news, (outputs ?? existing.outputs) as Values);
      return new provider.UpdateResponse().setProperties(encode(state));
    }
    const outputs = (await definition.update(call, existing, news.values)) as Values;
    return new provider.UpdateResponse().setProperties(encode(stateOf(definition, news, outputs)));
  }

  async #delete({ request, definition, engineCall }: Job<provider.DeleteRequest>): Promise<empty.Empty> {
    const state = decode(request.getProperties());
    const inputs = request.hasOldInputs() ? decode(request.getOldInputs()) : inputsOf(definition, state);
    const call = engineCall.openCall(inputs, { others: [state] });
    try {
      if ((await this.#installationFor(call)?.isTakenOver(call)) === true) {
        call.log.info("left on the server, where it was created again for another installation");
        return new empty.Empty();
      }
      await definition.delete(call, existingOf(definition, { id: request.getId(), inputs, state }));
    } catch (error) {
      if (!(error instanceof HostKeyChanged)) throw error;
      // A reinstalled server keeps its address. Everything is created on it first, then deleted through the connection with the old key.
      call.log.warning(
        `nothing was removed: ${error.message.split(";")[0] ?? ""}; the server has been reinstalled`,
      );
    }
    return new empty.Empty();
  }

  #method<Q, S>(handle: (request: Q) => S): grpc.handleUnaryCall<Q, S> {
    return unary(handle, (error) => toStatus(error, { clean: (text) => text }));
  }

  #resourceMethod<Q extends { getUrn(): string }, S>(
    handle: (job: Job<Q>) => S | Promise<S>,
  ): grpc.handleUnaryCall<Q, S> {
    return (call, reply) => {
      const engineCall = new EngineCall(call, this.#callContext());
      const run = async (): Promise<S> => {
        this.#cancelled.signal.throwIfAborted();
        const { request } = call;
        return handle({ request, definition: this.#definitionFor(request.getUrn()), engineCall });
      };
      const running = run()
        .then(
          async (response) => {
            await this.#log.flush();
            reply(null, response);
          },
          async (error: unknown) => {
            await this.#log.flush();
            reply(engineCall.toStatus(error));
          },
        )
        .finally(() => {
          engineCall.close();
          this.#running.delete(running);
        });
      this.#running.add(running);
    };
  }

  #definitionFor(urn: string): AnyDefinition {
    const token = parseUrn(urn).type;
    const definition = this.#definitions.get(token);
    if (definition === undefined) {
      throw new UserError(
        `${token}: unknown resource type; known are ${[...this.#definitions.keys()].join(", ")}`,
      );
    }
    return definition;
  }

  #callContext(): CallContext {
    return {
      settings: this.#settings,
      settingSecrets: this.#settingSecrets,
      engineLog: this.#log,
      signal: this.#cancelled.signal,
      hostFor: (log) => this.#sharedHost(log),
    };
  }

  /** Undefined for a connection to OVH, and for one that does not say which installation it is for. */
  #installationFor(call: Call): Installation | undefined {
    const { hostAddress, serverId } = call.settings;
    if (hostAddress === undefined || serverId === undefined) return undefined;
    return (this.#installation ??= new Installation(call.host, serverId));
  }

  #sharedHost(log: Log): Host {
    this.#host ??= new Host(targetOf(this.#settings), {
      onUnpinned: (message) => log.warning(message),
    });
    return this.#host;
  }
}
