/**
 * The requests to n8n wait at the gateway while n8n, or a service that it needs, restarts: pause, drain, then whatever restarts it, then wait until
 * it answers as before, and resume. Nothing here makes that work fail: a gateway that cannot hold requests answers them 503, as it does without.
 *
 * The pause ends by itself after `maxSeconds`. It is renewed while the command lives; the gateway's own restart, which ends it, is bridged by that.
 *
 * Several gateways hold together, each with a pause of its own. Those that do not answer are left out.
 */
import type { HeldService } from "../../common/hold.ts";
import { UserError } from "../../common/user-error.ts";
import { type Clock, until } from "../../common/until.ts";
import type { Workflow } from "../../provider/n8n/workflow.ts";
import type { Effects } from "../effects.ts";
import type { GatewayState, Verb } from "./gateway.ts";
import { askAll, Gateway, namesOf, type Answered, type GatewayServer, type Silent } from "./gateways.ts";
import {
  readBefore,
  readBehind,
  readNow,
  readThrough,
  unlessUnknown,
  type N8nWorld,
  type Now,
  type WantedWebhook,
} from "./n8n-back.ts";

const RENEW_SECONDS = 5;
const ASK_SECONDS = 30;
const LOOK_EVERY_MS = 500;

/** Of several gateways: one that is away is left out before the others hold anything, because their visitors would wait for it. */
const ANSWER_SECONDS = 15;

export interface HoldWorld extends N8nWorld, Pick<Effects, "every"> {
  /** The gateways of several servers; undefined: the server's own alone. */
  readonly gateways?: (() => Promise<readonly GatewayServer[] | undefined>) | undefined;

  /** @default this machine's */
  readonly clock?: Clock | undefined;
}

export class Hold {
  #world: HoldWorld;
  /** What n8n answered before anything stopped it. */
  #webhooks: readonly WantedWebhook[] = [];
  /** What is about to restart, and the container of each that is about to stop. */
  #containers: ReadonlyMap<HeldService, string | undefined> = new Map([["n8n", undefined]]);
  /** Since when a container that was to stop goes on as before. */
  readonly #stillSince = new Map<HeldService, number>();
  #stopRenewing: (() => void) | undefined;
  #gateways: readonly Gateway[];
  /** Of several servers; undefined: of one. */
  #several: Several | undefined;
  /** Gateways that hold the requests, as far as is known here. */
  #holding: readonly Gateway[] = [];

  constructor(world: HoldWorld) {
    this.#world = world;
    const { server } = world;
    this.#gateways = [new Gateway({ name: server.name, server })];
  }

  /** Whether requests wait now, as far as is known here. */
  get isOn(): boolean {
    return this.#stopRenewing !== undefined;
  }

  /** Whether there are gateways of which the server of the data knows nothing. */
  get hasOthers(): boolean {
    return this.#several !== undefined;
  }

  /** Has n8n be waited for with these workflows, and not with those of the folder. */
  expect(workflows: readonly Workflow[]): void {
    this.#world = { ...this.#world, workflows };
  }

  /** Keeps what these are now, before anything stops them. A hold that goes on keeps what n8n answered at first, and waits for all that it waited for. */
  async prepare(services: readonly HeldService[] = ["n8n"]): Promise<void> {
    const all = new Set([...(this.isOn ? this.#containers.keys() : []), ...services]);
    this.#stillSince.clear();
    if (!this.isOn) await this.#findGateways();
    if (all.has("n8n") && !this.isOn) await this.#keepWebhooks();
    const found = [...all].map(async (service) => [service, (await this.#look(service)).container] as const);
    this.#containers = new Map(await Promise.all(found));
  }

  async #findGateways(): Promise<void> {
    const { gateways, say } = this.#world;
    try {
      const found = await gateways?.();
      if (found === undefined) return;
      this.#gateways = found.map((one) => new Gateway(one));
      this.#several = { answering: await this.#answeringBefore() };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      say(
        `which gateways there are is not known, only that of the data's server holds requests: ${error.message}`,
      );
    }
  }

  /** Those through which n8n answers; the others are not waited for. All of them where n8n answers through none. */
  async #answeringBefore(): Promise<readonly Gateway[]> {
    const found = await this.#readThrough(this.#gateways);
    const isAnswering = ({ status }: Through) => status === "200";
    if (!found.some(isAnswering)) return this.#gateways;
    for (const { gateway } of found.filter((one) => !isAnswering(one)))
      this.#world.say(`${gateway.name}: its gateway does not answer at /healthz; it is not waited for`);
    return found.filter(isAnswering).map(({ gateway }) => gateway);
  }

  async #readThrough(gateways: readonly Gateway[]): Promise<readonly Through[]> {
    const { environment } = this.#world;
    return await Promise.all(
      gateways.map(async (gateway) => {
        const status = await unlessUnknown(() => readThrough(gateway, environment), undefined);
        return { gateway, status };
      }),
    );
  }

  async #keepWebhooks(): Promise<void> {
    try {
      this.#webhooks = (await readBefore(this.#world)).webhooks;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#world.say(`what n8n answers is not known, only its readiness is waited for: ${error.message}`);
    }
  }

  /** Pauses, and waits for the requests that n8n answers already; says where that is not possible. */
  async begin(): Promise<void> {
    if (this.isOn) return;
    // Also where the answer does not get through: the pause may be there.
    this.#keepRenewing();
    await this.#pause(await this.#reachable());
  }

  /** Renews a pause that somebody else has begun: the program on the server that stops n8n itself. Other gateways know nothing of it yet. */
  follow(): void {
    if (this.isOn) return;
    this.#keepRenewing();
    if (this.#several === undefined) return;
    const { server } = this.#world;
    void this.#pause(this.#gateways.filter((gateway) => gateway.server !== server));
  }

  #keepRenewing(): void {
    this.#holding = this.#gateways;
    this.#stopRenewing = this.#world.every(RENEW_SECONDS, () => void this.#ask("renew"));
  }

  async #reachable(): Promise<readonly Gateway[]> {
    if (this.#several === undefined) return this.#gateways;
    const question = { verb: "state", timeoutSeconds: ANSWER_SECONDS } as const;
    const { answered, silent } = await askAll(this.#gateways, question);
    this.#leaveOut(silent);
    return answered.map(({ gateway }) => gateway);
  }

  async #pause(gateways: readonly Gateway[]): Promise<void> {
    const { answered, silent } = await this.#ask("pause", gateways);
    this.#leaveOut(silent);
    const { say } = this.#world;
    const [paused, restarting] = [true, false].map((is) =>
      answered.filter(({ state }) => state.isPaused === is),
    ) as [Answered[], Answered[]];
    if (restarting.length > 0) {
      const what = this.#several ? `${namesOf(restarting)}: the gateway` : "the gateway";
      say(`${what} does not keep its hold, which ends when it restarts; trying again while n8n restarts`);
    }
    if (paused.length === 0) return;
    const who = this.#several
      ? `the gateways hold the requests to n8n (${namesOf(paused)})`
      : "the gateway holds the requests to n8n";
    say(`${who}; ${renderInFlight(paused)}`);
  }

  /** Without any gateway that holds requests there is no hold. */
  #leaveOut(silent: readonly Silent[]): void {
    const { say } = this.#world;
    this.#holding = this.#holding.filter((gateway) => !silent.some((one) => one.gateway === gateway));
    if (this.#holding.length === 0) this.#forget();
    for (const { gateway, problem } of silent) {
      say(
        this.#several
          ? `${gateway.name}: its gateway does not hold the requests to n8n, and answers 503 meanwhile: ${problem}`
          : `the requests to n8n are not held: ${problem}`,
      );
    }
  }

  /** Whether a service has restarted and answers as before, or has gone on as before for so long that nothing restarts it. */
  async hasEnded({
    service = "n8n",
    stillSeconds,
  }: {
    readonly service?: HeldService;
    readonly stillSeconds: number;
  }): Promise<boolean> {
    const { container, lacks } = await this.#now(service);
    if (lacks !== undefined) {
      this.#stillSince.delete(service);
      return false;
    }
    if (container !== this.#containers.get(service)) return true;
    const now = this.#world.now().getTime();
    const since = this.#stillSince.get(service) ?? now;
    this.#stillSince.set(service, since);
    return now - since >= stillSeconds * 1000;
  }

  /** Waits until all answer as before; gives what n8n still lacks after `workflows.webhookSeconds`, undefined for nothing. */
  async awaitBack(): Promise<string | undefined> {
    const { environment, signal, clock } = this.#world;
    let lacks: string | undefined;
    const isBack = async () => {
      signal.throwIfAborted();
      const now = await Promise.all([...this.#containers.keys()].map((service) => this.#now(service)));
      lacks = now.find((one) => one.lacks !== undefined)?.lacks;
      return lacks === undefined;
    };
    const limit = environment.workflows.webhookSeconds * 1000;
    const late = () => new Late();
    try {
      await until(isBack, { limit, every: LOOK_EVERY_MS, signal, late, ...(clock && { clock }) });
    } catch (error) {
      if (!(error instanceof Late)) throw error;
    }
    return lacks;
  }

  /** Lets the requests go, if they are held. Never fails: the pause ends by itself otherwise. */
  async end(): Promise<void> {
    if (!this.isOn) return;
    this.#forget();
    const { say, environment } = this.#world;
    const { answered, silent } = await this.#ask("resume");
    if (answered.length > 0) {
      const waiting = sumOf(answered, ({ waiting }) => waiting);
      say(`the requests to n8n go on${waiting === 0 ? "" : `: ${waiting} have waited`}`);
    }
    const { maxSeconds } = environment.services.gateway.hold;
    for (const { gateway, problem } of silent) {
      const who = this.#several ? `${gateway.name}: the gateway` : "the gateway";
      say(`${who} could not be told to go on, and does so by itself after ${maxSeconds} s: ${problem}`);
    }
  }

  #forget(): void {
    this.#stopRenewing?.();
    this.#stopRenewing = undefined;
  }

  /** What a service is; n8n behind several gateways has to answer through each of them. */
  async #now(service: HeldService): Promise<Now> {
    const now = await this.#look(service);
    if (this.#several === undefined || now.lacks !== undefined) return now;
    return { ...now, lacks: await this.#lacksThrough(this.#several) };
  }

  async #look(service: HeldService): Promise<Now> {
    const unknown = { container: undefined, lacks: "an answer" };
    const throughGateway = this.#several === undefined;
    const read = () =>
      service === "n8n"
        ? readNow({ webhooks: this.#webhooks }, this.#world)
        : readBehind({ service, throughGateway }, this.#world);
    return await unlessUnknown(read, unknown);
  }

  /** A gateway that is away has no visitors who wait. */
  async #lacksThrough({ answering }: Several): Promise<string | undefined> {
    const found = (await this.#readThrough(answering)).filter(({ status }) => status !== undefined);
    const lacking = found.filter(({ status }) => status !== "200").map(({ gateway }) => gateway.name);
    if (lacking.length > 0) return `an answer at /healthz of ${lacking.join(", ")}`;
    return found.length === 0 ? "a gateway that answers" : undefined;
  }

  /** While a gateway restarts nobody answers there; the next renewal comes soon. */
  async #ask(verb: Verb, gateways = this.#holding) {
    const { drainSeconds, maxSeconds } = this.#world.environment.services.gateway.hold;
    // A pause waits first for a gateway that is being replaced.
    const timeoutSeconds = ASK_SECONDS + (verb === "pause" ? maxSeconds + drainSeconds : 0);
    const isWanted = () => verb !== "renew" || this.isOn;
    return await askAll(gateways, { verb, timeoutSeconds, isWanted });
  }
}

class Late extends Error {}

interface Several {
  /** Gateways through which n8n answered before. */
  readonly answering: readonly Gateway[];
}

interface Through {
  readonly gateway: Gateway;
  readonly status: string | undefined;
}

function sumOf(answers: readonly Answered[], count: (state: GatewayState) => number): number {
  return answers.reduce((sum, { state }) => sum + count(state), 0);
}

function renderInFlight(answers: readonly Answered[]): string {
  const inFlight = sumOf(answers, (state) => state.inFlight);
  if (inFlight <= 0) return "n8n has answered all others";
  return `${inFlight} others are still being answered, and n8n gives them up to 30 s when it stops`;
}
