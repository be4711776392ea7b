import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";

import type grpc from "@grpc/grpc-js";
import services from "@pulumi/pulumi/proto/language_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";

import { engineAddressOf, serveEngine, unary } from "../../provider/plugin/rpc.ts";
import { runPolicyPack } from "./policy-pack.ts";

/** Exit code of the SDK's runner after it has reported the error to the user. */
const REPORTED = 32;

type Run = grpc.ServerUnaryCall<messages.RunRequest, messages.RunResponse>;
type RunPlugin = grpc.ServerWritableStream<messages.RunPluginRequest, messages.RunPluginResponse>;

/** How the program ended, in the words that the engine expects from a language host. */
export function readEnding(
  code: number | null,
  signal: NodeJS.Signals | null,
): { error?: string; bail?: boolean } {
  if (code === 0) {
    return {};
  }
  if (code === REPORTED) {
    return { bail: true };
  }
  return {
    error:
      code === null
        ? `Program was killed by signal ${signal ?? "unknown"}`
        : `Program exited with non-zero exit code: ${code}`,
  };
}

/** Arguments of the SDK's runner. */
export function renderArguments(request: messages.RunRequest, engineAddress: string): string[] {
  const info = request.getInfo();
  const flags = {
    monitor: request.getMonitorAddress(),
    engine: engineAddress,
    project: request.getProject(),
    stack: request.getStack(),
    organization: request.getOrganization(),
    "root-directory": info?.getRootDirectory() ?? "",
    pwd: request.getPwd(),
    parallel: String(request.getParallel()),
  };

  return [
    ...Object.entries(flags).flatMap(([name, value]) => (value === "" ? [] : [`--${name}`, value])),
    ...(request.getDryrun() ? ["--dry-run"] : []),
    info?.getEntryPoint() ?? request.getProgram(),
    ...request.getArgsList(),
  ];
}

/** Variables from which the SDK in the program reads the configuration. */
export function renderEnvironment(request: messages.RunRequest): Record<string, string> {
  const options = request.getInfo()?.getOptions()?.toJavaScript() ?? {};

  return {
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().entries())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    PULUMI_NODEJS_TYPESCRIPT: options.typescript === false ? "false" : "true",
  };
}

function run(call: Run, engineAddress: string): Promise<messages.RunResponse> {
  // The project may have another copy of the SDK than the one that this file has loaded.
  const runner = createRequire(`${call.request.getPwd()}/`).resolve("@pulumi/pulumi/cmd/run");

  return new Promise((resolve, reject) => {
    const program = spawn(process.execPath, [runner, ...renderArguments(call.request, engineAddress)], {
      cwd: call.request.getPwd(),
      env: { ...process.env, ...renderEnvironment(call.request) },
      stdio: ["ignore", "inherit", "inherit"],
    });

    call.on("cancelled", () => program.kill());
    program.on("error", reject);
    program.on("exit", (code, signal) => {
      const { error = "", bail = false } = readEnding(code, signal);
      const response = new messages.RunResponse();
      response.setError(error);
      response.setBail(bail);
      resolve(response);
    });
  });
}

/** Serves the engine at `engineAddress`. */
async function serve(engineAddress: string): Promise<void> {
  const methods = {
    handshake: unary(() => new messages.LanguageHandshakeResponse()),
    getPluginInfo: unary(() => new plugin.PluginInfo().setVersion("0.0.0")),
    // An empty answer is allowed: the engine then looks for missing plugins only when the program needs them.
    getRequiredPlugins: unary(() => new messages.GetRequiredPluginsResponse()),
    getRequiredPackages: unary(() => new messages.GetRequiredPackagesResponse()),
    run: unary((_request: messages.RunRequest, call: Run) => run(call, engineAddress)),
    runPlugin: (call: RunPlugin) => {
      runPolicyPack(call).catch((error: Error) => call.destroy(error));
    },
  };
  await serveEngine({ definition: services.LanguageRuntimeService, methods }, () => process.exit(1));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const address = engineAddressOf(process.argv.slice(2));
  if (address === undefined) {
    throw new Error(
      "pulumi-language-nodejs: the engine's address is missing; start this program through pulumi only",
    );
  }
  await serve(address);
}
