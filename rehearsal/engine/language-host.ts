import { spawn } from "node:child_process";
import { createRequire, flushCompileCache } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import services from "@pulumi/pulumi/proto/language_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";

// How the SDK's runner says that the user has been told already what went wrong.
const REPORTED = 32;

const PARENT_CHECK_MS = 2_000;

type Run = grpc.ServerUnaryCall<messages.RunRequest, messages.RunResponse>;

/** What the program ended with, in the words that the engine expects of a language host. */
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

/** Arguments of the SDK's runner for one run of the program. */
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

/** Variables that the SDK in the program's process reads its configuration from. */
export function renderEnvironment(request: messages.RunRequest): Record<string, string> {
  const options = request.getInfo()?.getOptions()?.toJavaScript() ?? {};

  return {
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().entries())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    PULUMI_NODEJS_TYPESCRIPT: options.typescript === false ? "false" : "true",
  };
}

function run(call: Run, engineAddress: string): Promise<messages.RunResponse> {
  // The project's own copy of the SDK, which need not be the one this file was loaded with.
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

function serve(engineAddress: string): void {
  const parent = process.ppid;
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });

  server.addService(services.LanguageRuntimeService, {
    handshake: (_call: unknown, done: grpc.sendUnaryData<messages.LanguageHandshakeResponse>) => {
      done(null, new messages.LanguageHandshakeResponse());
    },
    getPluginInfo: (_call: unknown, done: grpc.sendUnaryData<plugin.PluginInfo>) => {
      const info = new plugin.PluginInfo();
      info.setVersion("0.0.0");
      done(null, info);
    },
    // Answering nothing is allowed: it only spares the engine a look for missing plugins before the program asks.
    getRequiredPlugins: (_call: unknown, done: grpc.sendUnaryData<messages.GetRequiredPluginsResponse>) => {
      done(null, new messages.GetRequiredPluginsResponse());
    },
    getRequiredPackages: (_call: unknown, done: grpc.sendUnaryData<messages.GetRequiredPackagesResponse>) => {
      done(null, new messages.GetRequiredPackagesResponse());
    },
    run: (call: Run, done: grpc.sendUnaryData<messages.RunResponse>) => {
      run(call, engineAddress).then(
        (response) => {
          done(null, response);
        },
        (error: unknown) => {
          done({ code: grpc.status.INTERNAL, details: String(error) });
        },
      );
    },
  });

  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) {
      throw error;
    }
    process.stdout.write(`${port}\n`);
    // The engine ends its plugins without asking; Node would have kept what it compiled only at the end.
    flushCompileCache();
  });

  // An engine that was killed stops nobody; without this its language host would stay for ever.
  setInterval(() => {
    if (process.ppid !== parent) {
      process.exit(1);
    }
  }, PARENT_CHECK_MS).unref();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const address = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
  if (address === undefined) {
    throw new Error(
      "pulumi-language-nodejs: expected the engine's address, got no argument; it is started by pulumi",
    );
  }
  serve(address);
}
