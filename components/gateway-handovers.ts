/**
 * Of several gateways. Docker replaces one after the other, and does not say which one is next. So visitors of every server are with a second
 * gateway meanwhile: one server after the other leads them there before, and back after, so that never two of them change at a time.
 */
import * as pulumi from "@pulumi/pulumi";

import { scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { Handover, type HandoverArgs, timesApplied } from "./gateway-handover.ts";

const RECORD = "/var/lib/technicia/gateway-second";

const SECOND = scriptParts(new URL("scripts/gateway-second.sh", import.meta.url), [
  "observeStarted",
  "start",
  "forget",
  "observeEnded",
  "end",
]);

const CONVERGED = scriptParts(new URL("scripts/service-converged.sh", import.meta.url), [
  "look",
  "observe",
  "apply",
]);

export interface HandoversArgs extends Omit<HandoverArgs, "gateways"> {
  /** In the order in which they are handed over; the names are those of their resources. */
  readonly servers: readonly { readonly name: string; readonly onHost: pulumi.CustomResourceOptions }[];

  /** For what a server that manages the Swarm does. */
  readonly onManager: pulumi.CustomResourceOptions;
}

/** Parts of the handovers, as those of a single one. */
export class Handovers {
  readonly #name: string;
  readonly #onManager: pulumi.CustomResourceOptions;
  readonly #handovers: readonly Handover[];
  readonly #convergenceSeconds: number;

  /** How often the second ones were started. */
  #started: pulumi.Output<string> = pulumi.output("0");

  constructor(name: string, { servers, onManager, config, convergenceSeconds }: HandoversArgs) {
    [this.#name, this.#onManager, this.#convergenceSeconds] = [name, onManager, convergenceSeconds];
    const args = { config, convergenceSeconds, gateways: servers.length };
    this.#handovers = servers.map((server) => new Handover(server.name, args, server.onHost));
  }

  /** Before the service changes to `revision`; the last part, which has waited for all others. */
  begin(revision: pulumi.Input<string>, after: readonly pulumi.Resource[]): technicia.State {
    const started = new technicia.State(
      `${this.#name}-second-start`,
      {
        observe: SECOND.observeStarted,
        desired: revision,
        apply: SECOND.start,
        remove: SECOND.forget,
        variables: { RECORD, REVISION: revision },
      },
      { ...this.#onManager, dependsOn: [...after] },
    );
    this.#started = timesApplied(started);
    return this.#handovers.reduce((before, handover) => handover.begin(revision, [before]), started);
  }

  /** After the service has changed to `revision`. */
  end(revision: pulumi.Input<string>): technicia.State {
    const converged = new technicia.State(
      `${this.#name}-converged`,
      {
        observe: `${CONVERGED.look}\n${CONVERGED.observe}`,
        desired: "every server runs it",
        apply: `${CONVERGED.look}\n${CONVERGED.apply}`,
        variables: {
          ...{ SERVICE: this.#name, REVISION: revision },
          LIMIT_SECONDS: String(this.#convergenceSeconds),
        },
        timeoutSeconds: this.#convergenceSeconds + 60,
      },
      this.#onManager,
    );
    const ended = this.#handovers.reduce<technicia.State[]>(
      (before, handover) => [handover.end(revision, before)],
      [converged],
    );
    return new technicia.State(
      `${this.#name}-second-end`,
      {
        observe: SECOND.observeEnded,
        desired: "the gateways run alone",
        apply: SECOND.end,
        // Each beginning has the server looked at again.
        variables: { REVISION: revision, BEGUN: this.#started },
      },
      { ...this.#onManager, dependsOn: ended },
    );
  }
}
