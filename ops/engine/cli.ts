import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { UserError } from "../../common/user-error.ts";

export interface PulumiCall {
  readonly args: readonly string[];
  /** Text for its standard input: the one way on which a secret travels. */
  readonly input?: string;

  /** Added to this process's own environment. */
  readonly environment?: Readonly<Record<string, string>>;

  /** Lines of both outputs as they come. */
  readonly onLine?: (line: string) => void;

  /** Asks the CLI to stop, as Ctrl-C does: it ends what it is doing and keeps the state. */
  readonly signal?: AbortSignal;
}

/** The CLI ended with another code than 0; what it had printed until then may still be read. */
export class PulumiFailure extends UserError {
  override readonly name = "PulumiFailure";
  readonly stdout: string;
  readonly stderr: string;

  constructor(message: string, printed: { readonly stdout: string; readonly stderr: string }) {
    super(message);
    this.stdout = printed.stdout;
    this.stderr = printed.stderr;
  }
}

/** Runs the Pulumi CLI and gives its standard output; every failure is a `UserError` that says the way out. */
export type Pulumi = (call: PulumiCall) => Promise<string>;

/** The `pulumi` that PATH finds. */
export const pulumiOnPath: Pulumi = ({ args, input = "", environment, onLine, signal }) =>
  new Promise((resolve, reject) => {
    const child = spawn("pulumi", [...args, "--non-interactive"], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...environment },
      // A Ctrl-C at the terminal would reach it, too, and a second one makes it drop everything.
      detached: signal !== undefined,
    });
    const printed = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
      if (onLine) createInterface({ input: child[stream] }).on("line", onLine);
    }
    child.on("error", (error: NodeJS.ErrnoException) => {
      const missing = new UserError(
        "pulumi: expected the Pulumi CLI on PATH, got none; install it (https://www.pulumi.com/docs/install/) or run npm install",
      );
      reject(error.code === "ENOENT" ? missing : error);
    });
    const interrupt = () => child.kill("SIGINT");
    if (signal?.aborted) interrupt();
    signal?.addEventListener("abort", interrupt, { once: true });
    child.on("close", (code) => {
      signal?.removeEventListener("abort", interrupt);
      if (code === 0) resolve(printed.stdout);
      else reject(explain(args, printed));
    });
    // A CLI that fails before it reads closes the pipe; what it printed tells more than the broken pipe.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });

const EXPLANATIONS: readonly { readonly sign: RegExp; readonly text: (stack: string) => string }[] = [
  {
    sign: /no stack named/,
    text: (stack) =>
      `${stack}: expected a stack that exists, got none of that name; make it with pulumi stack init ${stack}`,
  },
  {
    sign: /PULUMI_ACCESS_TOKEN must be set|not logged in|pulumi login/i,
    text: () =>
      "pulumi: expected a login to where the state is kept, got none; run pulumi login (the README shows the choices)",
  },
  {
    sign: /passphrase/i,
    text: (stack) =>
      `PULUMI_CONFIG_PASSPHRASE: expected the passphrase of stack ${stack}, got none or another; export it, then run this again`,
  },
  {
    sign: /no Pulumi\.yaml project file found/,
    text: () =>
      "pulumi: expected to run in the project's folder, got another; change to the folder of Pulumi.yaml",
  },
];

function explain(args: readonly string[], printed: { stdout: string; stderr: string }): PulumiFailure {
  const stack = args[args.indexOf("--stack") + 1] ?? "";
  const known = EXPLANATIONS.find(({ sign }) => sign.test(printed.stderr));
  if (known) return new PulumiFailure(known.text(stack), printed);
  const told = printed.stderr.trim().split("\n").slice(-20).join("\n");
  return new PulumiFailure(`pulumi ${args[0] ?? ""} failed: ${told || "it printed nothing"}`, printed);
}
