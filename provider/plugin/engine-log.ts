/** Messages to the engine, which prints them next to the resource. */
import grpc from "@grpc/grpc-js";
import engineRpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engine from "@pulumi/pulumi/proto/engine_pb.js";

export type Severity = "debug" | "info" | "warning";

export interface Message {
  readonly severity: Severity;
  readonly text: string;
  readonly urn: string;
  /** Whether the next message replaces it. */
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

  /** Before this, messages are dropped. */
  connect(address: string): void {
    this.#client?.close();
    this.#client = new engineRpc.EngineClient(address, grpc.credentials.createInsecure());
  }

  send({ severity, text, urn, isStatus }: Message): void {
    const client = this.#client;
    if (client === undefined) return;
    const request = new engine.LogRequest();
    request.setSeverity(SEVERITIES[severity]);
    request.setMessage(text);
    request.setUrn(urn);
    request.setEphemeral(isStatus);
    // Work on a host continues when the engine no longer listens.
    const sent = new Promise<void>((resolve) => {
      client.log(request, () => resolve());
    });
    this.#pending = Promise.all([this.#pending, sent]);
  }

  /** Resolves when the engine has received everything, so that no message arrives after the result of its call. */
  async flush(): Promise<void> {
    await this.#pending;
  }
}
