/**
 * The operator's ssh key: the login user accepts both, then the commands log in with the next one, then the old one is accepted no more. How far it is, is
 * in the settings, so the same command goes on; none of it is secret.
 */
import { homedir } from "node:os";

import { tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";
import { NAMESPACE } from "../../secrets/catalog.ts";
import { describeRotated } from "../../secrets/rotations.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { readEnvironment } from "../engine/settings.ts";
import { onServer } from "../on-server.ts";
import { appendHistory } from "../server/records.ts";
import type { RotateRequest } from "./rotate.ts";
import type { RotationWorld } from "./world.ts";

export interface SshKeyRequest extends Pick<RotateRequest, "stack" | "yes" | "emergency" | "reason"> {
  /** Path of the next private key. */
  readonly file: string;
}

interface NextKey {
  readonly file: string;
  readonly publicKey: string;
}

type Settings = Environment["ssh"];
type Changes = Readonly<Record<string, string | undefined>>;

/** What each step sets, for the settings as they are; undefined: the step is done. */
const STEPS: readonly ((ssh: Settings, next: NextKey) => Changes | undefined)[] = [
  (ssh, { publicKey }) =>
    isSame(ssh.publicKey, publicKey) || isSame(ssh.otherPublicKey, publicKey)
      ? undefined
      : { otherPublicKey: publicKey },
  (ssh, { publicKey, file }) =>
    isSame(ssh.publicKey, publicKey)
      ? undefined
      : { otherPublicKey: ssh.publicKey, publicKey, privateKeyFile: file },
  (ssh) => (ssh.otherPublicKey === undefined ? undefined : { otherPublicKey: undefined }),
];

export async function rotateSshKey(request: SshKeyRequest, world: RotationWorld): Promise<Outcome> {
  const { stack } = request;
  const { operator } = world;
  const next = await readNextKey(request.file);
  const first = (await readEnvironment(stack, operator.pulumi)).ssh;
  if (isSame(first.publicKey, next.publicKey) && first.otherPublicKey === undefined)
    throw new UserError(
      `--from-file: expected another key than ssh.publicKey of ${stack}, got the same; make one with ssh-keygen -t ed25519`,
    );
  for (const [index, step] of STEPS.entries()) {
    const { ssh } = await readEnvironment(stack, operator.pulumi);
    const changes = step(ssh, next);
    if (changes === undefined) continue;
    const before = await operator.readSettingsFile(stack);
    await write(stack, changes, world);
    operator.say(`${stack}: ssh: step ${index + 1} of ${STEPS.length}`);
    const { yes, emergency } = request;
    const reason = `${request.reason === "" ? "" : `${request.reason} : `}rotation de ssh (${index + 1}/${STEPS.length})`;
    const outcome = await world.deploy(
      { stack, only: undefined, plan: undefined, emergency, reason, yes },
      operator,
    );
    if (outcome.exitCode === EXIT.ok || outcome.exitCode === EXIT.notObserved) continue;
    // Nothing has changed; after a failure the server may know either.
    if (outcome.exitCode === EXIT.refused) await operator.writeSettingsFile(stack, before);
    return {
      ...outcome,
      text: `${outcome.text}\n${stack}: the rotation of ssh has stopped; the same command goes on with it`,
    };
  }
  await onServer(stack, operator, (server) =>
    appendHistory(server, {
      ...{
        at: operator.now().toISOString(),
        who: operator.identity.who,
        action: "secret",
        reason: request.reason,
      },
      detail: describeRotated(["ssh"]),
    }),
  );
  const text =
    `${stack}: the login user accepts ${next.file} only; commit Pulumi.${stack}.yaml\n` +
    "now: put the file into the safe, give every other operator theirs through technicia:ssh.admins, and delete the old one";
  return { text, exitCode: EXIT.ok };
}

async function readNextKey(given: string): Promise<NextKey> {
  const { code, stdout, stderr } = await tryRun(["ssh-keygen", "-y", "-P", "", "-f", given], {
    missing: "ssh-keygen: expected OpenSSH's client on PATH, got none; install openssh-client",
  });
  if (code !== 0)
    throw new UserError(
      `--from-file: expected the file of a private key without a passphrase, got another; ssh-keygen said: ${stderr.trim()}`,
    );
  const home = `${homedir()}/`;
  return {
    file: given.startsWith(home) ? `~/${given.slice(home.length)}` : given,
    publicKey: stdout.trim(),
  };
}

/** Comments do not count. */
function isSame(one: string | undefined, other: string): boolean {
  const blob = (key: string) => key.trim().split(/\s+/).slice(0, 2).join(" ");
  return one !== undefined && blob(one) === blob(other);
}

/** One call for what is set together: a key without its file would keep the operator out. */
async function write(stack: string, changes: Changes, { operator }: RotationWorld): Promise<void> {
  const given = Object.entries(changes).flatMap(([name, value]) =>
    value === undefined ? [] : ["--plaintext", `${NAMESPACE}:ssh.${name}=${value}`],
  );
  if (given.length > 0)
    await operator.pulumi({ args: ["config", "set-all", "--path", ...given, "--stack", stack] });
  for (const [name, value] of Object.entries(changes)) {
    if (value !== undefined) continue;
    await operator.pulumi({ args: ["config", "rm", "--path", `${NAMESPACE}:ssh.${name}`, "--stack", stack] });
  }
}
