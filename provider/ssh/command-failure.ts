/** What is reported when a command on the host fails. */
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "./shell-session.ts";

const STDERR_LINES = 20;

export interface FailedCommand {
  /** Follows "could not": `write /etc/motd`. */
  readonly purpose: string;
  /** `user@address:port`. */
  readonly host: string;
  readonly user: string;
  readonly outcome: Outcome;
}

/** The script exited with another code than 0, or was killed. */
export class CommandFailure extends UserError {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(message: string, { code, stdout, stderr }: Outcome) {
    super(message);
    this.exitCode = code;
    this.stdout = stdout;
    this.stderr = stderr;
  }

  /** Last lines of the script's standard error, indented as in the message. */
  get lastLines(): string {
    return lastLinesOf(this.stderr);
  }
}

export function commandFailure({ purpose, host, user, outcome }: FailedCommand): CommandFailure {
  const lines = lastLinesOf(outcome.stderr);
  const printed = lines === "" ? "" : `; it printed:\n  ${lines}`;
  return new CommandFailure(`could not ${purpose} on ${host}: ${reasonOf(outcome, user)}${printed}`, outcome);
}

/** Whether nothing was done yet: the connection was lost before the program began. */
export function wasLostBeforeBegin({ hasBegun, stopped, stderr }: Outcome): boolean {
  return !hasBegun && stopped === undefined && sudoFault(stderr) === undefined;
}

function reasonOf({ code, stopped, stderr, hasBegun }: Outcome, user: string): string {
  if (stopped !== undefined) {
    if (code !== undefined) return `${stopped}; it was killed there`;
    return `${stopped}; ${hasBegun ? "whether it still runs there is not known" : "it had not begun"}`;
  }
  if (code === undefined) {
    if (hasBegun) return "the connection was lost meanwhile; how far it came is not known";
    switch (sudoFault(stderr)) {
      case "refused":
        return `sudo refused; give ${user} the right to sudo without a password (NOPASSWD: ALL), or log in as root`;
      case "missing":
        return "there is no sudo; install it, or log in as root";
      case undefined:
        return "the connection was lost before it began";
    }
  }
  if (/No space left on device|Disk quota exceeded/i.test(stderr)) {
    return `the disk of the host is full (exit code ${code}); make room there (df -h shows where)`;
  }
  if (/Read-only file system/i.test(stderr)) {
    return `the file system of the host is read-only (exit code ${code}); check its disk (dmesg)`;
  }
  return `exit code ${code}`;
}

const SUDO_REFUSED =
  /sudo: (a password is required|a terminal is required)|is not in the sudoers file|is not allowed to (run|execute)/i;
const SUDO_MISSING = /sudo: (command )?not found|sudo: No such file/i;

function sudoFault(stderr: string): "refused" | "missing" | undefined {
  if (SUDO_REFUSED.test(stderr)) return "refused";
  return SUDO_MISSING.test(stderr) ? "missing" : undefined;
}

function lastLinesOf(text: string): string {
  return text.trimEnd().split("\n").slice(-STDERR_LINES).join("\n  ");
}
