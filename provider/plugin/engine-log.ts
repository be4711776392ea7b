/** Messages to the engine, which shows them beside the resource. */
import grpc from "@grpc/grpc-js";
import engineRpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engine from "@pulumi/pulumi/proto/engine_pb.js";

export type Severity = "debug" | "info" | "warning";

export interface Message {
  readonly severity: Severity;
  readonly text: string;
  readonly urn: string;
  /** Whether the next message may take its place. */
  readonly isStatus: boolean;
}

const SEVERITIES = {
  debug: engine.LogSeverity.DEBUG,
  info: engine.LogSeverity.INFO,
  warning: engine.LogSeverity.WARNING,
} as const;

export class EngineLog {
  #client: engineRpc.EngineClient | undefined;
  #pending: Promise<unknown> = Promise.resolve();

  /** Until the engine tells its address, messages go nowhere. */
  connect(address: string): void {
    this.#client?.close();
    this.#client = new engineRpc.EngineClient(address, grpc.credentials.createInsecure());
  }

  send({ severity, text, urn, isStatus }: Message): void {
    const client = this.#client;
    if (client === undefined) {
      return;
    }
    const request = new engine.LogRequest();
    request.setSeverity(SEVERITIES[severity]);
    request.setMessage(text);
    request.setUrn(urn);
    request.setEphemeral(isStatus);
    // An engine that no longer listens is no reason to break off work on a host.
    const sent = new Promise<void>((resolve) => {
      client.log(request, () => resolve());
    });
    this.#pending = Promise.all([this.#pending, sent]);
  }

  /** Resolves when the engine has everything, so that no message comes after the result it belongs to. */
  async flush(): Promise<void> {
    await this.#pending;
  }
}
