/** Where the policy pack is, and which commands of the engine run it. It cannot be named in `Pulumi.yaml`: each command line names it. */

/** From the project's folder, where every command runs. An absolute path may hold a comma, which the engine takes for a separator. */
export const POLICY_PACK = "stacks/policy";

/** Commands that run the program. */
const JUDGED = ["preview", "up", "update"];

/** Flags before the command that are followed by a value. */
const WITH_VALUE = ["--stack", "-s", "--color"];

/** The arguments of the Pulumi CLI, with the pack where the command runs this project's program. */
export function withPolicyPack(args: readonly string[]): string[] {
  const isElsewhere = args.some((arg) => /^(--cwd|-C|--policy-pack)(=|$)/.test(arg));
  const isJudged = JUDGED.includes(commandIn(args) ?? "") && !args.includes("--help");
  return isJudged && !isElsewhere ? [...args, "--policy-pack", POLICY_PACK] : [...args];
}

function commandIn(args: readonly string[]): string | undefined {
  return args.find((arg, index) => !arg.startsWith("-") && !WITH_VALUE.includes(args[index - 1] ?? ""));
}
