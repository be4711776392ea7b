/**
 * The requests to n8n wait at the gateway while n8n, or a service that it needs, restarts: pause, drain, then whatever restarts it, then wait until
 * it answers as before, and resume. Nothing here makes that work fail: a gateway that cannot hold requests answers them 503, as it does without.
 *
 * The pause ends by itself after `maxSeconds`. It is renewed while the command lives; the gateway's own restart, which ends it, is bridged by that.
 */
import type { HeldService } from "../../common/hold.ts";
import { UserError } from "../../common/user-error.ts";
import { type Clock, until } from "../../common/until.ts";
import type { Workflow } from "../../provider/n8n/workflow.ts";
import type { Effects } from "../effects.ts";
import { askGateway, type GatewayState, type Verb } from "./gateway.ts";
import {
  readBefore,
  readBehind,
  readNow,
  unlessUnknown,
  type N8nWorld,
  type Now,
  type WantedWebhook,
} from "./n8n-back.ts";

const RENEW_SECONDS = 5;
const ASK_SECONDS = 30;
const LOOK_EVERY_MS = 500;

export interface HoldWorld extends N8nWorld, Pick<Effects, "every"> {
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
  /** Asks one thing after the other: a renewal that is under way must not come after the end. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(world: HoldWorld) {
    this.#world = world;
  }

  /** Whether requests wait now, as far as is known here. */
  get isOn(): boolean {
    return this.#stopRenewing !== undefined;
  }

  /** Has n8n be waited for with these workflows, and not with those of the folder. */
  expect(workflows: readonly Workflow[]): void {
    this.#world = { ...this.#world, workflows };
  }

  /** Keeps what these are now, before anything stops them. A hold that goes on keeps what n8n answered at first, and waits for all that it waited for. */
  async prepare(services: readonly HeldService[] = ["n8n"]): Promise<void> {
    const all = new Set([...(this.isOn ? this.#containers.keys() : []), ...services]);
    this.#stillSince.clear();
    if (all.has("n8n") && !this.isOn) await this.#keepWebhooks();
    const found = [...all].map(async (service) => [service, (await this.#now(service)).container] as const);
    this.#containers = new Map(await Promise.all(found));
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
    const { say } = this.#world;
    // Also where the answer does not get through: the pause may be there.
    this.follow();
    try {
      const state = await this.#ask("pause");
      if (!state.isPaused) {
        say(
          "the gateway does not keep its hold, which ends when it restarts; trying again while n8n restarts",
        );
        return;
      }
      say(`the gateway holds the requests to n8n; ${renderInFlight(state)}`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#forget();
      say(`the requests to n8n are not held: ${error.message}`);
    }
  }

  /** Renews a pause that somebody else has begun: the program on the server that stops n8n itself. */
  follow(): void {
    if (this.isOn) return;
    this.#stopRenewing = this.#world.every(RENEW_SECONDS, () => void this.#renew());
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
    try {
      const { waiting } = await this.#ask("resume");
      say(`the requests to n8n go on${waiting === 0 ? "" : `: ${waiting} have waited`}`);
    } catch (error) {
      const { maxSeconds } = environment.services.gateway.hold;
      say(
        `the gateway could not be told to go on, and does so by itself after ${maxSeconds} s: ${(error as Error).message}`,
      );
    }
  }

  #forget(): void {
    this.#stopRenewing?.();
    this.#stopRenewing = undefined;
  }

  async #now(service: HeldService): Promise<Now> {
    const unknown = { container: undefined, lacks: "an answer" };
    const read = () =>
      service === "n8n"
        ? readNow({ webhooks: this.#webhooks }, this.#world)
        : readBehind(service, this.#world);
    return await unlessUnknown(read, unknown);
  }

  async #renew(): Promise<void> {
    // While the gateway restarts nobody answers; the next renewal comes soon.
    await unlessUnknown(() => this.#ask("renew"), undefined);
  }

  async #ask(verb: Verb): Promise<GatewayState> {
    const { server, environment } = this.#world;
    const { drainSeconds, maxSeconds } = environment.services.gateway.hold;
    // A pause waits first for a gateway that is being replaced.
    const timeoutSeconds = ASK_SECONDS + (verb === "pause" ? maxSeconds + drainSeconds : 0);
    const asked = this.#last.then(async () => {
      if (verb === "renew" && !this.isOn) throw new UserError("the hold has ended");
      return await askGateway(server, verb, { timeoutSeconds });
    });
    this.#last = asked.catch(() => undefined);
    return await asked;
  }
}

class Late extends Error {}

function renderInFlight({ inFlight }: GatewayState): string {
  if (inFlight <= 0) return "n8n has answered all others";
  return `${inFlight} others are still being answered, and n8n gives them up to 30 s when it stops`;
}
