import { UserError } from "./user-error.ts";

/** The message of an error, or the code of the cause behind it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : undefined;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? (error as NodeJS.ErrnoException).code;
  return cause === undefined || error instanceof UserError ? error.message : (code ?? cause.message);
}
