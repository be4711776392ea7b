/** The process of the plugin: listens, tells the engine where, and ends with it. */
import { flushCompileCache } from "node:module";
import grpc from "@grpc/grpc-js";
import providerRpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type { AnyDefinition } from "./definition.ts";
import { Server } from "./server.ts";

/** Files of some megabytes travel in one message, as text and again in the state. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

const PARENT_CHECK_MILLISECONDS = 2_000;

/** Serves the definitions; the arguments are the engine's, whose first plain one is its address. */
export async function serve(definitions: readonly AnyDefinition[], args: readonly string[]): Promise<void> {
  const engineAddress = args.find((arg) => !arg.startsWith("-"));
  const server = new Server(definitions, engineAddress);
  const listener = new grpc.Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  listener.addService(providerRpc.ResourceProviderService, server.handlers);
  const port = await new Promise<number>((resolve, reject) => {
    listener.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) {
        reject(error);
      } else {
        resolve(bound);
      }
    });
  });

  const end = (): void => {
    void server.end().then(() => process.exit(0));
  };
  // The engine ends its plugins with SIGINT, and waits five seconds for each that takes its time. Ctrl-C does not come here: they are in
  // a process group of their own.
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  if (engineAddress !== undefined) {
    endWithParent(end);
  }
  console.log(String(port));
  // The engine ends its plugins by killing them, and the cache would be written on exit only.
  flushCompileCache();
}

// An engine that was killed leaves its plugins behind, and with them work that nobody will ever record.
function endWithParent(end: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(watch);
      end();
    }
  }, PARENT_CHECK_MILLISECONDS);
  watch.unref();
}
