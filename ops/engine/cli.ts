import type { z } from "zod";

import { withPolicyPack } from "../../common/policy-pack.ts";
import { tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";
import { findPulumi } from "./program.ts";
import { noteRun, runsFolder } from "./runs.ts";
import { settingsFile } from "./settings-file.ts";

export interface PulumiCall {
  readonly args: readonly string[];
  /** Text for its standard input; a secret is passed in no other way. */
  readonly input?: string;

  /** Added to this process's own environment. */
  readonly environment?: Readonly<Record<string, string>>;

  /** Called with each line of both outputs. */
  readonly onLine?: (line: string) => void;

  /** Interrupts the CLI as Ctrl-C does: it finishes the current step and saves the state. */
  readonly signal?: AbortSignal;
}

interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** The CLI exited with an error; its output is kept. */
export class PulumiFailure extends UserError {
  override readonly name: string = "PulumiFailure";
  readonly stdout: string;
  readonly stderr: string;

  constructor(message: string, { stdout, stderr }: Printed) {
    super(message);
    this.stdout = stdout;
    this.stderr = stderr;
  }

  /** Lines in which the engine reports an error, each once; the message where there are none. */
  get errors(): readonly string[] {
    const lines = errorsIn(`${this.stdout}\n${this.stderr}`);
    return lines.length > 0 ? lines : [this.message];
  }
}

/** Rules of the policy pack are broken; `errors` names each after the engine's own errors. */
export class PolicyFailure extends PulumiFailure {
  override readonly name = "PolicyFailure";
  readonly #violations: readonly string[];

  constructor(violations: readonly string[], printed: Printed) {
    super(`rules of the policy pack refuse this:\n${violations.join("\n")}`, printed);
    this.#violations = violations;
  }

  override get errors(): readonly string[] {
    const lines = errorsIn(`${this.stdout}\n${this.stderr}`);
    return [...lines, ...this.#violations];
  }
}

/** After any failure the engine also complains of each step of the plan that it has not come to. */
const NOT_REACHED = /\berror: expected resource operations for \S+ but none were seen$/;

function errorsIn(text: string): string[] {
  const all = [...new Set((text.match(/^.*\berror:.*$/gm) ?? []).map((line) => line.trim()))];
  const causes = all.filter((line) => !NOT_REACHED.test(line));
  return causes.length > 0 ? causes : all;
}

export class NoSuchStack extends PulumiFailure {
  override readonly name = "NoSuchStack";
}

export interface Lock {
  /** Address of the lock's file. */
  readonly file: string;
  readonly user: string;
  readonly host: string;
  readonly pid: number;
  /** As the CLI writes it. */
  readonly since: string;
}

/** Another run holds the state. */
export class LockHeld extends PulumiFailure {
  override readonly name = "LockHeld";

  /** Empty where the backend does not name the holder. */
  readonly locks: readonly Lock[];

  constructor(message: string, printed: Printed) {
    super(message, printed);
    this.locks = [...printed.stderr.matchAll(HOLDER)].map(
      ([, file = "", user = "", host = "", pid, since = ""]) => ({
        file,
        user,
        host,
        pid: Number(pid),
        since,
      }),
    );
  }
}

/** Runs the Pulumi CLI and gives its standard output; every failure is a `UserError` that says what to do. */
export type Pulumi = (call: PulumiCall) => Promise<string>;

/** The `pulumi` that PATH finds; what runs the program runs the policy pack, too. */
export const pulumiOnPath: Pulumi = async ({ args, environment, ...options }) => {
  const program = await findPulumi(process.env);
  let noteEnd: (() => void) | undefined;
  const ended = await tryRun([program.path, ...withPolicyPack(args), "--non-interactive"], {
    ...options,
    environment: { ...program.environment, ...environment },
    // Ctrl-C at the terminal would reach it as well, and a second interrupt makes it abandon the state.
    ownGroup: options.signal !== undefined,
    onStart(pid) {
      noteEnd = noteRun({ stack: stackOf(args), pid, now: Date.now() }, runsFolder(process.env));
    },
  }).finally(() => noteEnd?.());
  if (ended.code !== 0) throw readFailure(args, ended);
  return ended.stdout;
};

/** The stack that a command names. */
export function stackOf(args: readonly string[]): string {
  return args.includes("--stack") ? (args[args.indexOf("--stack") + 1] ?? "") : "";
}

const HOLDER = /^\s*(\S+): created by (.+)@(\S*) \(pid (\d+)\) at (\S+)\s*$/gm;

/** The CLI reports these failures only as text; nothing else reads that text. */
const FAILURES: readonly {
  readonly sign: RegExp;
  /** Absent where the CLI's own words say enough. `found` is what `sign` found. */
  readonly explain?: (stack: string, found: RegExpExecArray) => string;
  readonly type?: typeof PulumiFailure;
}[] = [
  {
    sign: /the stack is currently locked by \d+ lock\(s\)|\[409\] Conflict: Another update is currently in progress/,
    type: LockHeld,
  },
  {
    sign: /no stack named/,
    explain: (stack) =>
      `${stack}: there is no stack of that name; pulumi stack ls lists yours, and pulumi stack init ${stack} would create it`,
    type: NoSuchStack,
  },
  {
    sign: /PULUMI_ACCESS_TOKEN must be set|not logged in|pulumi login/i,
    explain: () =>
      "pulumi: not logged in to where the state is kept; run pulumi login (the README shows the choices)",
  },
  {
    sign: /passphrase/i,
    explain: (stack) =>
      `PULUMI_CONFIG_PASSPHRASE: not the passphrase of stack ${stack}; export the right one, then run this again`,
  },
  {
    // Each place is a line of its own where a key stands twice.
    sign: /(?:invalid YAML file: |yaml: unmarshal errors:)((?:.|\n {2})*)/,
    explain: (stack, [, said = ""]) =>
      `${settingsFile(stack)}: expected YAML, got: ${said.replace(/^yaml: /, "").trim()}; correct this there (spaces alone indent, and each key stands once), or take the file from git`,
  },
  {
    sign: /no Pulumi\.yaml project file found/,
    explain: () => "pulumi: this is not the project's folder; change to the folder of Pulumi.yaml",
  },
];

/** The failure of a run that printed this. */
export function readFailure(args: readonly string[], printed: Printed): PulumiFailure {
  const stack = stackOf(args);
  for (const { sign, explain, type: Failure = PulumiFailure } of FAILURES) {
    const found = sign.exec(printed.stderr);
    if (found && explain) return new Failure(explain(stack, found), printed);
    if (found) return new Failure(wordsOf(args, printed), printed);
  }
  return new PulumiFailure(wordsOf(args, printed), printed);
}

function wordsOf(args: readonly string[], printed: Printed): string {
  // What fails while resources are changed or read is reported among them, on standard output.
  const said = printed.stderr.trim() || errorsIn(printed.stdout).join("\n") || printed.stdout.trim();
  const lines = said.split("\n").slice(-20).join("\n");
  return `pulumi ${args[0] ?? ""} failed: ${lines || "it printed nothing"}`;
}

/** Reads the CLI's JSON. Text of another form may contain a secret, so the error does not repeat it. */
export function parsePrinted<T>(command: string, text: string, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Undefined is of no schema.
  }
  const { success, data } = schema.safeParse(value);
  if (success) return data;
  throw new UserError(
    `${command}: expected JSON of another form; use the version of the Pulumi CLI that package.json names`,
  );
}
