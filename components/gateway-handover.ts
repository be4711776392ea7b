/**
 * The gateway's ports belong to one task, so it stops before its successor starts. Meanwhile a second one like it answers the visitors, to whom
 * it is led by a table of its own in nftables.
 */
import * as pulumi from "@pulumi/pulumi";

import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import type { GatewayConfig } from "./gateway-config.ts";
import { HOLD_PORT } from "./gateway-hold.ts";

const PROGRAM = "/opt/technicia/bin/gateway-handover";
const RECORD = "/var/lib/technicia/gateway-handover";

/** Of a gateway, until it answers: its image is there, and it reads its files within a second. */
const START_SECONDS = 60;

const STATES = scriptParts(new URL("scripts/gateway-handover-states.sh", import.meta.url), [
  "observeBegun",
  "begin",
  "forget",
  "observeEnded",
  "end",
  "observeEndedHere",
]);

export interface HandoverArgs {
  readonly config: Pick<GatewayConfig, "hold" | "uploadSeconds" | "answerSeconds">;

  /** Longest wait for the service to converge, in seconds. */
  readonly convergenceSeconds: number;

  /** How many servers have a gateway, each of which hands over its own; a manager starts and removes the second ones. @default 1 */
  readonly gateways?: number;
}

/** Parts of a handover; each waits until it is done. */
export class Handover {
  readonly #name: string;
  readonly #args: HandoverArgs;
  readonly #opts: pulumi.CustomResourceOptions;
  readonly #program: technicia.File;

  /** How often it was begun. */
  #begun: pulumi.Output<string> = pulumi.output("0");

  constructor(name: string, args: HandoverArgs, opts: pulumi.CustomResourceOptions) {
    [this.#name, this.#args, this.#opts] = [name, args, opts];
    this.#program = new technicia.File(
      `${name}-handover-program`,
      { path: PROGRAM, content: renderProgram(args), mode: "0755", validate: 'bash -n "$FILE"' },
      opts,
    );
  }

  /** Before the service changes to `revision`. */
  begin(revision: pulumi.Input<string>, after: readonly pulumi.Resource[]): technicia.State {
    const begun = new technicia.State(
      `${this.#name}-handover-begin`,
      {
        observe: STATES.observeBegun,
        desired: revision,
        apply: STATES.begin,
        remove: STATES.forget,
        variables: { PROGRAM, RECORD, REVISION: revision },
        timeoutSeconds: 2 * START_SECONDS + holdSeconds(this.#args) + requestSeconds(this.#args),
      },
      { ...this.#opts, dependsOn: [this.#program, ...after] },
    );
    this.#begun = timesApplied(begun);
    return begun;
  }

  /** After the service has changed to `revision`. */
  end(revision: pulumi.Input<string>, after: readonly pulumi.Resource[] = []): technicia.State {
    return new technicia.State(
      `${this.#name}-handover-end`,
      {
        observe: this.#args.gateways === undefined ? STATES.observeEnded : STATES.observeEndedHere,
        desired: "the gateway answers alone",
        apply: STATES.end,
        // Each beginning has the server looked at again, also one of an update that was killed before it came here and is undone by this one.
        variables: { PROGRAM, REVISION: revision, BEGUN: this.#begun },
        timeoutSeconds: 2 * START_SECONDS + requestSeconds(this.#args),
      },
      { ...this.#opts, dependsOn: [this.#program, ...after] },
    );
  }
}

/** Another text each time that it was applied, for what has to look again then. */
export function timesApplied({ applied }: technicia.State): pulumi.Output<string> {
  return applied.apply((times) => String(times ?? 0));
}

/** The program on the server. */
export function renderProgram(args: HandoverArgs): string {
  const { hold } = args.config;
  const ownSeconds = requestSeconds(args) + holdSeconds(args) + 2 * START_SECONDS;
  // Each of the others begins and ends meanwhile.
  const othersSeconds = 2 * ((args.gateways ?? 1) - 1) * ownSeconds;
  const values = [
    `START_SECONDS=${START_SECONDS}`,
    `REQUEST_SECONDS=${requestSeconds(args)}`,
    `HOLD_SECONDS=${holdSeconds(args)}`,
    // Later than any of its parts may take.
    `EXPIRE_SECONDS=${args.convergenceSeconds + ownSeconds + othersSeconds}`,
    `PORT=${hold === undefined ? "" : HOLD_PORT}`,
    `RECORD=${RECORD}`,
  ].join(" ");
  const text = script(new URL("scripts/gateway-handover.sh", import.meta.url));
  const program = text.replace("set -euo pipefail\n", `$&${values}\n`);
  if (args.gateways === undefined) return program;
  const several = script(new URL("scripts/gateway-handover-several.sh", import.meta.url));
  return program.replace("\ncase ${1-} in\n", (last) => `\n${several}${last}`);
}

function requestSeconds({ config: { uploadSeconds, answerSeconds } }: HandoverArgs): number {
  return Math.max(uploadSeconds, answerSeconds);
}

function holdSeconds({ config: { hold } }: HandoverArgs): number {
  return hold?.maxSeconds ?? 0;
}
