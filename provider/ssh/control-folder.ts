/** Folder of the sockets over which OpenSSH's clients share one login. */
import { lstatSync, mkdirSync } from "node:fs";
import { userInfo } from "node:os";
import { UserError } from "../../common/user-error.ts";

const FOLDER = "/tmp/technicia-";

/** `%i` is the user's number. Not in the home: the path of a socket holds some 100 bytes, which many a home exceeds. */
export const CONTROL_PATH = `${FOLDER}%i/%C`;

/** Makes the folder, which ssh does not; call it before any ssh that uses `CONTROL_PATH`. Fails when somebody else could enter it. */
export function prepareControlFolder(path = `${FOLDER}${userInfo().uid}`): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found = lstatSync(path);
  if (found.isDirectory() && found.uid === userInfo().uid && (found.mode & 0o077) === 0) return;
  throw new UserError(
    `${path}: expected a folder that only you may enter, got ${found.isDirectory() ? `one of user ${found.uid} with the permissions ${(found.mode & 0o777).toString(8)}` : "something else"}; ` +
      "remove it, because whoever made it could take over your ssh connections",
  );
}
