/** The process of the plugin `technicia`. */
import providerRpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type { AnyDefinition } from "./definition.ts";
import { engineAddressOf, serveEngine } from "./rpc.ts";
import { Server } from "./server.ts";

/** Serves the definitions to the engine that started this process with these arguments. */
export async function serve(definitions: readonly AnyDefinition[], args: readonly string[]): Promise<void> {
  const engineAddress = engineAddressOf(args);
  const server = new Server(definitions, engineAddress);
  const end = (): void => {
    void server.end().then(() => process.exit(0));
  };
  // The engine ends its plugins with SIGINT and waits up to five seconds for each. A Ctrl-C at the terminal does not get here: plugins run in
  // a process group of their own.
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  await serveEngine(
    { definition: providerRpc.ResourceProviderService, methods: server.methods },
    engineAddress === undefined ? undefined : end,
  );
}
