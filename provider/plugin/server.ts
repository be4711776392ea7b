/** Serves the engine: turns its calls into calls of resource definitions, and their results and failures back. */
import grpc from "@grpc/grpc-js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import { differences, rootOf, type Difference } from "./diff.ts";
import { check } from "./check-inputs.ts";
import { parseUrn } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { AnyDefinition, Call, Log, Settings } from "./definition.ts";
import { EngineLog, type Severity } from "./engine-log.ts";
import { toStatus } from "./failures.ts";
import { Redactor, stringsIn } from "../../common/redactor.ts";
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
import { checkResponse, diffResponse } from "./responses.ts";
import { REPLACING_SETTINGS, SECRET_SETTINGS, settingsSchema, targetOf } from "./settings.ts";
import { HostKeyChanged } from "../ssh/connect.ts";
import { Host } from "../ssh/host.ts";
import { decode, encode, hasUnknown, secretNames, type Path, type Properties } from "./wire.ts";

type Request = { getUrn(): string };
type Unary<Q, S> = grpc.ServerUnaryCall<Q, S>;
type Reply<S> = grpc.sendUnaryData<S>;

const VERSION = "1.0.0";

export class Server {
  readonly #definitions: ReadonlyMap<string, AnyDefinition>;
  readonly #log = new EngineLog();
  readonly #cancelled = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #settings: Settings = {};
  #settingSecrets: readonly string[] = [];
  #host: Host | undefined;

  constructor(definitions: readonly AnyDefinition[], engineAddress: string | undefined) {
    this.#definitions = new Map(definitions.map((definition) => [definition.token, definition]));
    if (engineAddress !== undefined) {
      this.#log.connect(engineAddress);
    }
  }

  /** The gRPC service, method by method. */
  get handlers(): grpc.UntypedServiceImplementation {
    return {
      handshake: this.#unary(
        (call: Unary<provider.ProviderHandshakeRequest, provider.ProviderHandshakeResponse>) => {
          this.#log.connect(call.request.getEngineAddress());
          return new provider.ProviderHandshakeResponse()
            .setAcceptSecrets(true)
            .setAcceptResources(false)
            .setAcceptOutputs(false);
        },
      ),
      attach: this.#unary((call: Unary<plugin.PluginAttach, empty.Empty>) => {
        this.#log.connect(call.request.getAddress());
        return new empty.Empty();
      }),
      getPluginInfo: this.#unary(() => new plugin.PluginInfo().setVersion(VERSION)),
      getSchema: this.#unary(() =>
        new provider.GetSchemaResponse().setSchema(JSON.stringify({ name: "technicia", version: VERSION })),
      ),
      checkConfig: this.#unary((call: Unary<provider.CheckRequest, provider.CheckResponse>) =>
        this.#checkConfig(call.request),
      ),
      diffConfig: this.#unary((call: Unary<provider.DiffRequest, provider.DiffResponse>) =>
        this.#diffConfig(call.request),
      ),
      configure: this.#unary((call: Unary<provider.ConfigureRequest, provider.ConfigureResponse>) =>
        this.#configure(call.request),
      ),
      check: this.#resource((request: provider.CheckRequest, definition) => this.#check(request, definition)),
      diff: this.#resource((request: provider.DiffRequest, definition, call) =>
        this.#diff(request, definition, call),
      ),
      create: this.#resource((request: provider.CreateRequest, definition, call) =>
        this.#create(request, definition, call),
      ),
      read: this.#resource((request: provider.ReadRequest, definition, call) =>
        this.#read(request, definition, call),
      ),
      update: this.#resource((request: provider.UpdateRequest, definition, call) =>
        this.#update(request, definition, call),
      ),
      delete: this.#resource((request: provider.DeleteRequest, definition, call) =>
        this.#delete(request, definition, call),
      ),
      cancel: this.#unary(() => {
        this.cancel();
        return new empty.Empty();
      }),
    };
  }

  /** Breaks off what runs, here and on the host, and refuses what comes. */
  cancel(): void {
    this.#cancelled.abort(new UserError("cancelled"));
    this.#host?.close();
  }

  /** Breaks off what runs, and resolves once it has ended. */
  async end(): Promise<void> {
    this.cancel();
    await Promise.all(this.#running);
  }

  #checkConfig(request: provider.CheckRequest): provider.CheckResponse {
    const given = withoutVersion(decode(request.getNews()));
    const secrets: Path[] = [...given.secrets, ...SECRET_SETTINGS.map((name) => [name])];
    const { values, problems } = check(settingsSchema.shape, { values: given.values, secrets });
    return checkResponse(
      { values, secrets: secrets.filter(([name]) => values[String(name)] !== undefined) },
      problems,
    );
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
    this.#settingSecrets = [
      ...secretTexts({ values, secrets }),
      ...SECRET_SETTINGS.flatMap((name) => stringsIn(values[name])),
    ];
    this.#host?.close();
    this.#host = undefined;
    return new provider.ConfigureResponse()
      .setAcceptsecrets(true)
      .setAcceptresources(false)
      .setAcceptoutputs(false)
      .setSupportspreview(true);
  }

  #check(request: provider.CheckRequest, definition: AnyDefinition): provider.CheckResponse {
    const news = decode(request.getNews());
    const { values, problems } = check(definition.schema.shape, news);
    const together =
      problems.length === 0 && !hasUnknown(values) && definition.checkTogether !== undefined
        ? definition.checkTogether(values)
        : [];
    return checkResponse(derivedFrom(news, values), [...problems, ...together]);
  }

  #diff(request: provider.DiffRequest, definition: AnyDefinition, work: Work): provider.DiffResponse {
    const state = decode(request.getOlds());
    const olds = request.hasOldInputs() ? decode(request.getOldInputs()) : inputsOf(definition, state);
    const news = decode(request.getNews());
    work.begin(news, olds, state);

    const plain = differences(olds.values, news.values);
    const existing = existingOf(definition, request.getId(), { inputs: olds, state });
    const further = definition.diff?.(existing, known(news.values)) ?? [];
    const replaced = further.filter((change) => change.replace === true).map((change) => change.path);
    const all = [
      ...plain,
      ...further
        .filter((change) => !plain.some((difference) => difference.path === change.path))
        .map((change): Difference => ({ path: change.path, kind: "update" })),
    ];
    return diffResponse(all, {
      replaceOn: [...definition.replaceOn, ...replaced.map(rootOf)],
      deleteBeforeReplace: definition.deleteBeforeReplace ?? false,
    });
  }

  async #create(
    request: provider.CreateRequest,
    definition: AnyDefinition,
    work: Work,
  ): Promise<provider.CreateResponse> {
    const inputs = decode(request.getProperties());
    const call = work.begin(inputs);
    if (request.getPreview()) {
      const outputs =
        definition.preview === undefined
          ? {}
          : ((await definition.preview(call, known(inputs.values), undefined)) as Values);
      return new provider.CreateResponse().setProperties(encode(previewState(definition, inputs, outputs)));
    }
    work.keep = (outputs) => stateOf(definition, inputs, outputs as Values);
    const { id, outputs } = (await definition.create(call, inputs.values)) as { id: string; outputs: Values };
    return new provider.CreateResponse()
      .setId(id)
      .setProperties(encode(stateOf(definition, inputs, outputs)));
  }

  async #read(
    request: provider.ReadRequest,
    definition: AnyDefinition,
    work: Work,
  ): Promise<provider.ReadResponse> {
    const state = decode(request.getProperties());
    const inputs = request.hasInputs() ? decode(request.getInputs()) : inputsOf(definition, state);
    const call = work.begin(inputs, state);
    const found = await definition.read(call, existingOf(definition, request.getId(), { inputs, state }));
    if (found === null) {
      return new provider.ReadResponse();
    }
    const { values, secrets } = derivedFrom(inputs, found.inputs as Values);
    const foundInputs = {
      values,
      secrets: [...secrets, ...(found.secretInputs ?? []).map((name) => [name])],
    };
    return new provider.ReadResponse()
      .setId(found.id)
      .setInputs(encode(foundInputs))
      .setProperties(encode(stateOf(definition, foundInputs, found.outputs as Values)));
  }

  async #update(
    request: provider.UpdateRequest,
    definition: AnyDefinition,
    work: Work,
  ): Promise<provider.UpdateResponse> {
    const state = decode(request.getOlds());
    const olds = request.hasOldInputs() ? decode(request.getOldInputs()) : inputsOf(definition, state);
    const news = decode(request.getNews());
    const call = work.begin(news, olds, state);
    const existing = existingOf(definition, request.getId(), { inputs: olds, state });
    if (request.getPreview()) {
      const outputs =
        definition.preview === undefined
          ? existing.outputs
          : await definition.preview(call, known(news.values), existing);
      return new provider.UpdateResponse().setProperties(
        encode(previewState(definition, news, outputs as Values)),
      );
    }
    work.keep = (outputs) => stateOf(definition, news, outputs as Values);
    const outputs = (await definition.update(call, existing, news.values)) as Values;
    return new provider.UpdateResponse().setProperties(encode(stateOf(definition, news, outputs)));
  }

  async #delete(
    request: provider.DeleteRequest,
    definition: AnyDefinition,
    work: Work,
  ): Promise<empty.Empty> {
    const state = decode(request.getProperties());
    const inputs = request.hasOldInputs() ? decode(request.getOldInputs()) : inputsOf(definition, state);
    const call = work.begin(inputs, state);
    try {
      await definition.delete(call, existingOf(definition, request.getId(), { inputs, state }));
    } catch (error) {
      if (!(error instanceof HostKeyChanged)) {
        throw error;
      }
      // When a server is installed anew everything is first made on the new one and then deleted with the old connection, to the same address.
      call.log.warning(
        `nothing was removed: ${error.message.split(";")[0] ?? ""}, so this is not the installation that it was on`,
      );
    }
    return new empty.Empty();
  }

  #unary<Q, S>(handle: (call: Unary<Q, S>) => S): (call: Unary<Q, S>, reply: Reply<S>) => void {
    return (call, reply) => {
      try {
        reply(null, handle(call));
      } catch (error) {
        reply(toStatus(error, { clean: (text) => text, keep: undefined }));
      }
    };
  }

  #resource<Q extends Request, S>(
    handle: (request: Q, definition: AnyDefinition, work: Work) => S | Promise<S>,
  ): (call: Unary<Q, S>, reply: Reply<S>) => void {
    return (call, reply) => {
      const work = this.#work(call);
      const run = async (): Promise<S> => {
        this.#cancelled.signal.throwIfAborted();
        return handle(call.request, this.#definitionFor(call.request.getUrn()), work);
      };
      const running = run()
        .then(
          async (response) => {
            await this.#log.flush();
            reply(null, response);
          },
          async (error: unknown) => {
            await this.#log.flush();
            reply(toStatus(error, { clean: work.clean, keep: work.keep }));
          },
        )
        .finally(() => {
          work.end();
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

  #work<Q extends Request, S>(call: Unary<Q, S>): Work {
    const redactor = new Redactor();
    this.#settingSecrets.forEach((secret) => redactor.hide(secret));
    const ended = new AbortController();
    const abandoned = new AbortController();
    call.on("cancelled", () => abandoned.abort(new UserError("cancelled")));
    const signals = [this.#cancelled.signal, abandoned.signal];
    const timeoutSeconds = timeoutOf(call.request);
    if (timeoutSeconds !== undefined) {
      const timer = setTimeout(() => {
        abandoned.abort(new UserError(`took longer than the ${timeoutSeconds} s that customTimeouts allows`));
      }, timeoutSeconds * 1000);
      ended.signal.addEventListener("abort", () => clearTimeout(timer));
    }

    const urn = call.request.getUrn();
    const clean = (text: string): string => redactor.clean(text);
    const say = (severity: Severity, isStatus = false) => {
      return (text: string): void => this.#log.send({ severity, text: clean(text), urn, isStatus });
    };
    const log: Log = {
      info: say("info"),
      warning: say("warning"),
      debug: say("debug"),
      status: say("info", true),
    };
    const host = (): Host => this.#sharedHost(log);

    return {
      clean,
      keep: undefined,
      end: () => ended.abort(),
      begin: (inputs, ...others) => {
        [inputs, ...others].flatMap(secretTexts).forEach((secret) => redactor.hide(secret));
        return {
          urn,
          settings: this.#settings,
          get host() {
            return host();
          },
          log,
          signal: AbortSignal.any(signals),
          timeoutSeconds,
          secretInputs: secretNames(inputs.secrets),
          hide: (secret) => redactor.hide(secret),
        };
      },
    };
  }

  #sharedHost(log: Log): Host {
    this.#host ??= new Host(targetOf(this.#settings), (message) => log.warning(message), { joins: true });
    return this.#host;
  }
}

/** One call of the engine while it lasts. */
interface Work {
  readonly clean: (text: string) => string;
  readonly begin: (inputs: Properties, ...others: readonly Properties[]) => Call;
  readonly end: () => void;
  /** State to keep when only a part was done; undefined where that cannot be. */
  keep: ((outputs: object) => Properties) | undefined;
}

function timeoutOf(request: Request): number | undefined {
  const seconds = "getTimeout" in request ? (request as { getTimeout(): number }).getTimeout() : 0;
  return seconds > 0 ? seconds : undefined;
}
