/** The gateway as its script on the server answers: a flag with its own deadline, and what is in flight and waits. */
import { HOLD_SCRIPT } from "../../../common/hold.ts";
import { UserError } from "../../../common/user-error.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";

export class GatewayModel {
  /** What it was asked, in order. */
  readonly verbs: string[] = [];
  isPaused = false;
  inFlight = 0;
  waiting = 0;

  /** Why it does not answer; undefined: it does. */
  fault: string | undefined;

  /** Whether a pause does not last, as when the gateway restarts. */
  forgets = false;

  /** Called before each answer. */
  before: (verb: string) => Promise<void> | void = () => undefined;

  answers({ variables }: ServerCommand): boolean {
    return variables?.["SCRIPT"] === HOLD_SCRIPT;
  }

  async run({ variables, purpose }: ServerCommand): Promise<{ stdout: string; stderr: string }> {
    const verb = variables!["VERB"]!;
    this.verbs.push(verb);
    await this.before(verb);
    if (this.fault !== undefined) throw new UserError(`could not ${purpose}: ${this.fault}`);
    if (verb !== "state") this.isPaused = verb !== "resume" && !this.forgets;
    const stdout = `${this.isPaused ? "paused 60.0" : "open 0.0"} ${this.inFlight} ${this.waiting}\n`;
    return { stdout, stderr: "" };
  }
}
