/** gRPC between the engine and the processes that it starts. */
import { flushCompileCache } from "node:module";
import grpc from "@grpc/grpc-js";

/** Files of some megabytes are sent in one message, as text and again in the state. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;
export const MESSAGE_LIMITS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
};

const PARENT_CHECK_MILLISECONDS = 2_000;

/** A service and its methods. */
export interface Service {
  readonly definition: grpc.ServiceDefinition;
  readonly methods: grpc.UntypedServiceImplementation;
}

/** Replies to a call with the result of `handle`, or with its error as `toStatus` renders it. */
export function unary<Q, S>(
  handle: (request: Q, call: grpc.ServerUnaryCall<Q, S>) => S | Promise<S>,
  toStatus: (error: unknown) => Partial<grpc.StatusObject> = messageOf,
): grpc.handleUnaryCall<Q, S> {
  return (call, reply) => {
    Promise.resolve()
      .then(() => handle(call.request, call))
      .then(
        (response) => reply(null, response),
        (error: unknown) => reply(toStatus(error)),
      );
  };
}

function messageOf(error: unknown): Partial<grpc.StatusObject> {
  return { code: grpc.status.UNKNOWN, details: error instanceof Error ? error.message : String(error) };
}

/** Serves on a free port of this machine. */
export async function listen({
  definition,
  methods,
}: Service): Promise<{ server: grpc.Server; port: number }> {
  const server = new grpc.Server(MESSAGE_LIMITS);
  server.addService(definition, methods);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) {
        reject(error);
      } else {
        resolve(bound);
      }
    });
  });
  return { server, port };
}

/** Address of the engine, which is the last of the arguments that it starts a process with; undefined when somebody else started it. */
export function engineAddressOf(args: readonly string[]): string | undefined {
  return args.filter((arg) => !arg.startsWith("-")).at(-1);
}

/** Serves the engine and tells it the port. Calls `onEngineGone` when the engine ended without ending this process. */
export async function serveEngine(service: Service, onEngineGone?: () => void): Promise<void> {
  const { port } = await listen(service);
  if (onEngineGone !== undefined) watchParent(onEngineGone);
  console.log(String(port));
  // The engine kills its plugins, and Node.js writes this cache only at a normal exit.
  flushCompileCache();
}

// An engine that was killed leaves its plugins running, and nobody would record what they do.
function watchParent(onEnd: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(watch);
      onEnd();
    }
  }, PARENT_CHECK_MILLISECONDS);
  watch.unref();
}
