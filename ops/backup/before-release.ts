/**
 * What a release does with sets: one is made before data may change its format; after it, what restores have replaced is forgotten, and a
 * set of the new versions is rehearsed.
 */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { Settings } from "../engine/settings.ts";
import type { Server } from "../server/connection.ts";
import { callProgram, madeSet, PROGRAM } from "./program.ts";
import { readBack, readPlace } from "./read-back.ts";
import { isBackedUp, readBackupStatus } from "./status.ts";

const MAKE_SECONDS = 6 * 3600;

// It outlives the command: nobody waits for it.
const REHEARSE = `
exec systemd-run --quiet --no-block --collect --unit "technicia-backup-after-$TAG" --property Nice=19 \
  --property IOSchedulingClass=idle --property CPUWeight=1 -- "$PROGRAM" drill --make "after-$TAG"`;

export interface BeforeRelease extends Settings {
  readonly server: Server;
  readonly pulumi: Pulumi;
  readonly signal: AbortSignal;
  readonly fetch: typeof fetch;
  readonly say: (line: string) => void;

  /** Names the release: `release-12`. */
  readonly tag: string;
}

/**
 * Makes a set and reads it back from here. Gives its id; undefined where no backups are set up, on the server or in the settings.
 *
 * @throws UserError when the set cannot be made or read back
 */
export async function takeSet(request: BeforeRelease): Promise<string | undefined> {
  const { environment, server, pulumi, tag, say } = request;
  if (!isBackedUp(environment) || (await readBackupStatus(server)) === undefined) return undefined;
  const place = await readPlace(request, pulumi);
  const { id } = await callProgram(server, {
    purpose: "make a set of backups before the release",
    words: ["make", "--tag", tag, "--qdrant"],
    answer: madeSet,
    timeoutSeconds: MAKE_SECONDS,
    say,
  });
  await readBack(id, place, request);
  say(`the set ${id.slice(0, 8)} has the data of before this release`);
  return id;
}

/** Removes what restores have replaced: once a later release is verified, nobody goes back behind it. A failure is only said. */
export async function forgetReplaced(server: Server, { say }: Pick<BeforeRelease, "say">): Promise<void> {
  try {
    const status = await readBackupStatus(server);
    if (status === undefined || status.kept.length === 0 || status.restoring) return;
    await callProgram(server, {
      purpose: "remove what restores have replaced",
      words: ["forget"],
      answer: z.object({ forgotten: z.number() }),
      timeoutSeconds: 600,
      say,
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`what restores have replaced stays on the server: ${error.message}`);
  }
}

/**
 * Starts a rehearsal on the server, of a set that is made for it: the set of before the release is of the versions of before. It needs free
 * memory. Its result is in the server's status, which preflight and the drift check read; here nothing fails because of it.
 */
export async function startRehearsal({
  environment,
  server,
  tag,
  say,
}: Pick<BeforeRelease, "environment" | "server" | "tag" | "say">): Promise<void> {
  try {
    if (!isBackedUp(environment) || (await readBackupStatus(server)) === undefined) return;
    await server.run({
      purpose: "start a rehearsal of a restore",
      script: REHEARSE,
      variables: { TAG: tag, PROGRAM },
    });
    say(
      `the server rehearses the restore of a set of the new versions; npm run backups -- ${environment.name} shows how that ended`,
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`no rehearsal of a restore was started: ${error.message}; type npm run drill -- ${environment.name}`);
  }
}
