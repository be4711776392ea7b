/**
 * Of several gateways. Docker replaces one after the other, and does not say which one is next. So visitors of every server are with a second
 * gateway meanwhile: one server after the other leads them there before, and back after, so that never two of them change at a time.
 */
import type * as pulumi from "@pulumi/pulumi";

import { scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { Handover, type HandoverArgs } from "./gateway-handover.ts";

const RECORD = "/var/lib/technicia/gateway-second";

const SECOND = scriptParts(new URL("scripts/gateway-second.sh", import.meta.url), [
  "observeStarted",
  "start",
  "forget",
  "observeEnded",
  "end",
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

  constructor(name: string, { servers, onManager, config, convergenceSeconds }: HandoversArgs) {
    [this.#name, this.#onManager] = [name, onManager];
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
    return this.#handovers.reduce((before, handover) => handover.begin(revision, [before]), started);
  }

  /** After the service has changed to `revision`. */
  end(revision: pulumi.Input<string>): technicia.State {
    const ended = this.#handovers.reduce<technicia.State[]>(
      (before, handover) => [handover.end(revision, before)],
      [],
    );
    return new technicia.State(
      `${this.#name}-second-end`,
      {
        observe: SECOND.observeEnded,
        desired: "the gateways run alone",
        apply: SECOND.end,
        // Another revision has the server looked at again.
        variables: { REVISION: revision },
      },
      { ...this.#onManager, dependsOn: ended },
    );
  }
}
