/** Something the person at the keyboard can put right; only its message is shown. */
export class UserError extends Error {
  override readonly name: string = "UserError";
}
