/** Runs a policy pack for the engine, as the official language host does: the pack starts with the stack's settings in its environment. */
import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import process from "node:process";
import { createInterface } from "node:readline";

import grpc from "@grpc/grpc-js";
import services from "@pulumi/pulumi/proto/analyzer_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/analyzer_pb.js";
import type { RunPluginRequest, RunPluginResponse } from "@pulumi/pulumi/proto/language_pb.js";
import languageMessages from "@pulumi/pulumi/proto/language_pb.js";

import { listen, MESSAGE_LIMITS } from "../../provider/plugin/rpc.ts";

type Call = grpc.ServerWritableStream<RunPluginRequest, RunPluginResponse>;

/** What the engine says of the stack before it asks anything else. */
type Stack = messages.AnalyzerStackConfigureRequest;

/** Message in the form in which it travels: the proxy passes it on and reads only the one that it needs. */
type Bytes = Buffer;

interface Pack {
  readonly client: grpc.Client;
  readonly child: ChildProcess;
}

/** Variables from which the SDK in the pack reads the stack and its configuration, secrets in clear. */
export function renderStack(stack: Stack): Record<string, string> {
  return {
    PULUMI_NODEJS_ORGANIZATION: stack.getOrganization(),
    PULUMI_NODEJS_PROJECT: stack.getProject(),
    PULUMI_NODEJS_STACK: stack.getStack(),
    PULUMI_NODEJS_DRY_RUN: String(stack.getDryRun()),
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(stack.getConfigMap().entries())),
  };
}

/** Program and arguments of the pack: the SDK's own runner, which takes the pack's folder last. */
export function renderPackCommand(request: RunPluginRequest): string[] {
  const folder = request.getInfo()?.getProgramDirectory() ?? request.getProgram();
  const runner = createRequire(`${folder}/`).resolve("@pulumi/pulumi/cmd/run-policy-pack");
  return [process.execPath, runner, ...request.getArgsList(), folder];
}

/**
 * Serves the engine in the place of the pack, and passes on what it asks.
 *
 * The settings come with a call and not with the request to run the pack, and a pack reads them while it starts. So it starts at that call.
 */
export async function runPolicyPack(call: Call): Promise<void> {
  const kind = call.request.getKind();
  if (kind !== "analyzer") {
    throw new Error(
      `RunPlugin: expected a policy pack ("analyzer"), got "${kind}"; give that plugin an executable`,
    );
  }
  const print = (fill: (response: RunPluginResponse) => void) => {
    const response = new languageMessages.RunPluginResponse();
    fill(response);
    call.write(response);
  };
  let pack: Promise<Pack> | undefined;
  const start = (stack?: Stack) =>
    (pack ??= startPack(call.request, stack, (text) => print((response) => response.setStderr(text))));
  const { server, port } = await listen({ definition: proxied(), methods: forward(start) });

  call.on("cancelled", () => {
    server.forceShutdown();
    void pack?.then(
      ({ child, client }) => {
        client.close();
        child.kill();
      },
      () => undefined,
    );
  });
  print((response) => response.setStdout(Buffer.from(`${port}\n`)));
}

/** The methods of a pack, without reading and writing the messages. */
function proxied(): grpc.ServiceDefinition {
  const same = (bytes: Bytes): Bytes => bytes;
  return Object.fromEntries(
    Object.entries(services.AnalyzerService as grpc.ServiceDefinition).map(([name, method]) => [
      name,
      {
        ...method,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    ]),
  );
}

function forward(start: (stack?: Stack) => Promise<Pack>): grpc.UntypedServiceImplementation {
  const methods = Object.entries(services.AnalyzerService as grpc.ServiceDefinition).map(
    ([name, { path }]) => {
      const handle: grpc.handleUnaryCall<Bytes, Bytes> = (call, reply) => {
        start(name === "configureStack" ? readStack(call.request) : undefined).then(
          ({ client }) => {
            const same = (bytes: Bytes): Bytes => bytes;
            client.makeUnaryRequest(path, same, same, call.request, (error, answer) => {
              if (error) reply(error);
              else reply(null, answer);
            });
          },
          (error: Error) => reply({ code: grpc.status.UNKNOWN, details: error.message }),
        );
      };
      return [name, handle] as const;
    },
  );
  // Comes before the settings; a pack does not need it, and the engine allows that it is missing.
  const handshake: grpc.handleUnaryCall<Bytes, Bytes> = (_call, reply) =>
    reply({ code: grpc.status.UNIMPLEMENTED, details: "a policy pack has no handshake" });
  return { ...Object.fromEntries(methods), handshake };
}

function readStack(bytes: Bytes): Stack {
  return messages.AnalyzerStackConfigureRequest.deserializeBinary(bytes);
}

/** Starts the pack and waits for the port that it prints. */
function startPack(
  request: RunPluginRequest,
  stack: Stack | undefined,
  onError: (text: Buffer) => void,
): Promise<Pack> {
  const [program = "", ...args] = renderPackCommand(request);
  const variables = request.getEnvList().map((variable): [string, string] => {
    const at = variable.indexOf("=");
    return [variable.slice(0, at), variable.slice(at + 1)];
  });
  const child = spawn(program, args, {
    cwd: args.at(-1),
    env: { ...Object.fromEntries(variables), ...(stack && renderStack(stack)) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stderr.on("data", onError);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`the policy pack ended with exit code ${code ?? "none"}`)));
    createInterface(child.stdout).once("line", (port) => {
      const address = `127.0.0.1:${port}`;
      resolve({ child, client: new grpc.Client(address, grpc.credentials.createInsecure(), MESSAGE_LIMITS) });
    });
  });
}
