/**
 * A problem that the person running the command can fix. Only its message is printed; every other error is a bug of ours and keeps its stack
 * trace.
 */
export class UserError extends Error {
  override readonly name: string = "UserError";
}
