import { UserError } from "../../common/user-error.ts";

/** Something wrong in the folder of workflows; `path` is the file, and what in it. */
export interface Problem {
  readonly path: string;

  /** `expected …, got …; what to do`. */
  readonly text: string;
}

export function renderProblems(problems: readonly Problem[]): string {
  return problems.map(({ path, text }) => `${path}: ${text}`).join("\n");
}

/** Every problem in one message. */
export class WorkflowProblems extends UserError {
  override readonly name = "WorkflowProblems";

  constructor(stack: string, problems: readonly Problem[]) {
    super(
      `the workflows of stack "${stack}" have problems:\n${problems.map(({ path, text }) => `  ${path}: ${text}`).join("\n")}`,
    );
  }
}
