/** Whether a server is really down: asked from this machine and from the other servers, because the way from one place may be what is broken. */
import { script } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import { NoAnswer } from "../../provider/ssh/host.ts";
import type { Server } from "../server/connection.ts";
import type { Member } from "../fleet/fleet.ts";
import { nodeOf, type Asked } from "../fleet/swarm.ts";
import type { Opened } from "./world.ts";

const DOWN = script(new URL("down.sh", import.meta.url));

const HERE_SECONDS = 20;
const THERE_SECONDS = 40;

export interface Confirmed {
  /** From where it is still reached, and how; empty when it is down. */
  readonly reached: readonly string[];

  /** From where it is not, a line each. */
  readonly silent: readonly string[];
}

/** @throws UserError where no other server could be asked */
export async function confirmDown(
  { fleet, connections }: Opened,
  { member, asked }: { readonly member: Member; readonly asked: Asked },
): Promise<Confirmed> {
  const others = fleet.members.filter((one) => one.name !== member.name);
  const [here, ...there] = await Promise.all([
    fromHere(() => connections.to(member)),
    ...others.map((other) => fromThere(other, member, () => connections.to(other))),
  ]);
  const seen = there.filter((one) => one !== undefined);
  if (seen.length === 0)
    throw new UserError(
      `${member.name}: expected another server to ask whether it is down, got no answer of ${others.map(({ name }) => name).join(", ")}; nothing was changed`,
    );
  const all = [here, ofSwarm(member, asked), ...seen];
  return {
    reached: all.filter(({ isReached }) => isReached).map(({ text }) => text),
    silent: all.filter(({ isReached }) => !isReached).map(({ text }) => text),
  };
}

interface Seen {
  readonly isReached: boolean;
  readonly text: string;
}

/** One that refuses us is not down, nor is another machine at its address; of a problem of this machine's own nobody knows. */
async function fromHere(open: () => Server): Promise<Seen> {
  let hasAnswered = false;
  try {
    await open().run({
      purpose: "see whether it answers",
      script: "true",
      timeoutSeconds: HERE_SECONDS,
      onAnswer: () => (hasAnswered = true),
    });
    return { isReached: true, text: "this machine: it lets us in over ssh" };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const isSilent = error instanceof NoAnswer && !error.isRefused && !hasAnswered;
    return { isReached: !isSilent, text: `this machine: ${error.message}` };
  }
}

/** Undefined where that server itself does not answer. */
async function fromThere(
  { name }: Member,
  { address }: Member,
  open: () => Server,
): Promise<Seen | undefined> {
  try {
    const { stdout } = await open().run({
      purpose: "ask it whether it hears another server",
      script: DOWN,
      variables: { ADDRESS: address },
      timeoutSeconds: THERE_SECONDS,
    });
    const found = stdout.trim();
    return found.startsWith("answers: ")
      ? { isReached: true, text: `${name}: it answers ${found.slice("answers: ".length)}` }
      : { isReached: false, text: `${name}: nothing through the tunnel` };
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function ofSwarm(member: Member, { view, manager }: Asked): Seen {
  const state = nodeOf(member, view)?.state ?? "no node of it";
  const text = `the Swarm, asked at ${manager.name}: ${state}`;
  return { isReached: state === "ready", text };
}
