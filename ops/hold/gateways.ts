/**
 * The gateways of an environment, each asked by itself: one that is away keeps neither the others nor their visitors waiting. The only gateway of
 * an only server is one of them.
 */
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import { areSeveral } from "../../stacks/servers.ts";
import type { Effects } from "../effects.ts";
import { readFleet, type Connections } from "../fleet/fleet.ts";
import type { Server } from "../server/connection.ts";
import { askGateway, type GatewayState, type Verb } from "./gateway.ts";

/** A server where visitors arrive. */
export interface GatewayServer {
  readonly name: string;
  readonly server: Pick<Server, "name" | "run">;
}

export interface GatewaysWorld {
  /** The server of the data. */
  readonly server: Server;
  readonly environment: Environment;
  readonly connections: Connections;
  readonly pulumi: Effects["pulumi"];
}

/** Those that are deployed; undefined where there is one server, whose gateway it is then. */
export async function readGateways({
  server,
  environment,
  connections,
  pulumi,
}: GatewaysWorld): Promise<readonly GatewayServer[] | undefined> {
  if (!areSeveral(environment)) return undefined;
  const { members, home, isSeveral } = await readFleet(environment.name, { pulumi });
  if (!isSeveral) return undefined;
  connections.lend(home, server);
  return members
    .filter(({ labels, ssh }) => labels.includes("gateway") && ssh !== undefined)
    .map((member) => ({ name: member.name, server: connections.to(member) }));
}

/** What a gateway said, or why it said nothing. */
export type Answer = { readonly gateway: Gateway } & (
  { readonly state: GatewayState } | { readonly problem: string }
);

export type Answered = Extract<Answer, { readonly state: GatewayState }>;
export type Silent = Extract<Answer, { readonly problem: string }>;

export interface Question {
  readonly verb: Verb;
  readonly timeoutSeconds: number;

  /** Looked at when its turn comes. @default always */
  readonly isWanted?: () => boolean;
}

/** Asks one thing after the other: a renewal that is under way must not come after the end. */
export class Gateway {
  readonly name: string;
  readonly server: GatewayServer["server"];
  #last: Promise<unknown> = Promise.resolve();

  constructor({ name, server }: GatewayServer) {
    [this.name, this.server] = [name, server];
  }

  async ask({ verb, timeoutSeconds, isWanted = () => true }: Question): Promise<Answer> {
    const asked = this.#last.then(async (): Promise<Answer> => {
      if (!isWanted()) return { gateway: this, problem: "the hold has ended" };
      try {
        return { gateway: this, state: await askGateway(this.server, verb, { timeoutSeconds }) };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return { gateway: this, problem: error.message };
      }
    });
    this.#last = asked.catch(() => undefined);
    return await asked;
  }
}

/** All at once. */
export async function askAll(
  gateways: readonly Gateway[],
  question: Question,
): Promise<{ readonly answered: readonly Answered[]; readonly silent: readonly Silent[] }> {
  const answers = await Promise.all(gateways.map((gateway) => gateway.ask(question)));
  return {
    answered: answers.filter((answer) => "state" in answer),
    silent: answers.filter((answer) => "problem" in answer),
  };
}

export function namesOf(answers: readonly Answer[]): string {
  return answers.map(({ gateway }) => gateway.name).join(", ");
}
