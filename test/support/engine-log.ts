/** Receives the log as the engine does. */
import engineRpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type { LogRequest } from "@pulumi/pulumi/proto/engine_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";

import { listen, unary } from "../../provider/plugin/rpc.ts";

export interface LogLine {
  readonly severity: "debug" | "info" | "warning" | "error";
  readonly message: string;
  readonly urn: string;
  readonly ephemeral: boolean;
}

export interface EngineLogDouble {
  readonly address: string;
  readonly lines: LogLine[];
  readonly stop: () => void;
}

const SEVERITIES = ["debug", "info", "warning", "error"] as const;

export async function startEngineLog(): Promise<EngineLogDouble> {
  const lines: LogLine[] = [];
  const log = unary((request: LogRequest) => {
    lines.push({
      severity: SEVERITIES[request.getSeverity()] ?? "error",
      message: request.getMessage(),
      urn: request.getUrn(),
      ephemeral: request.getEphemeral(),
    });
    return new empty.Empty();
  });
  const { server, port } = await listen({ definition: engineRpc.EngineService, methods: { log } });
  return { address: `127.0.0.1:${port}`, lines, stop: () => server.forceShutdown() };
}
