/** Keeps a change of the firewall from locking the operator out. The server cannot undo it, so the provider does. */
import { isIPv4 } from "node:net";
import { z } from "zod";
import { UserError } from "../../../common/user-error.ts";
import type { Call } from "../../plugin/definition.ts";
import { fetchHostKey } from "../../ssh/connect.ts";
import { askAddressService, isWithin, only } from "../../ssh/operator-address.ts";
import { messageOf } from "../errors.ts";
import type { EdgeRule } from "./rules.ts";

/** How long sshd may take to answer before a change, when the server may still be booting. */
const BEFORE_SECONDS = 10;

const SECONDS = "a whole number of seconds from 5 to 600";
const PORT = "a port from 1 to 65535";

export const edgeGuard = z.strictObject({
  sshPort: z.int(PORT).min(1, PORT).max(65_535, PORT),
  seconds: z.int(SECONDS).min(5, SECONDS).max(600, SECONDS),
  /** Address of a service that tells callers their own address, or `none`. */
  addressService: z.string().min(1, "the address of a service, or none"),
});

export type EdgeGuard = z.infer<typeof edgeGuard>;

/** Whether sshd answers a new connection within the time. */
export type AnswerTest = (
  endpoint: { readonly address: string; readonly port: number },
  options: { readonly seconds: number; readonly signal: AbortSignal },
) => Promise<boolean>;

export const sshdAnswers: AnswerTest = async (endpoint, { seconds, signal }) => {
  // An attempt that nobody answers takes longer than the time that is left.
  const limited = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
  try {
    await fetchHostKey(endpoint, { deadlineSeconds: seconds, signal: limited });
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
};

/** The firewall is as it was before the change. */
export class PutBack extends UserError {}

/** The firewall keeps the operator out. */
export class NotPutBack extends UserError {}

interface GuardedChange<Result> {
  readonly ip: string;
  readonly guard: EdgeGuard | undefined;
  readonly answers: AnswerTest;
  readonly change: () => Promise<Result>;
  /** Puts back what was there, whatever became of the call. */
  readonly restore: () => Promise<void>;
}

/** Makes a change and puts back what was there before, unless a new connection reaches sshd as it did before. */
export async function keepingLogin<Result>(
  { signal, log }: Pick<Call, "signal" | "log">,
  { ip, guard, answers, change, restore }: GuardedChange<Result>,
): Promise<Result> {
  if (guard === undefined) return change();
  const endpoint = { address: ip, port: guard.sshPort };
  const answered = await answers(endpoint, { seconds: BEFORE_SECONDS, signal });
  const stillAnswers = (live: AbortSignal): Promise<boolean> =>
    answers(endpoint, { seconds: guard.seconds, signal: live });
  let result: Result;
  try {
    result = await change();
    if (!answered) {
      log.warning(
        `firewall of ${ip}: whether it lets you in could not be tried, because no sshd answered on port ${guard.sshPort} before it either`,
      );
      return result;
    }
    if (await stillAnswers(signal)) return result;
  } catch (error) {
    // What is half done may still let the operator in; then the next update goes on from there.
    if (!answered || (!signal.aborted && (await stillAnswers(signal)))) throw error;
    await restoreAfter(error, { ip, restore });
    throw new PutBack(
      `${signal.aborted ? `firewall of ${ip}: cancelled` : messageOf(error)}; the rules that were there before were put back`,
      { cause: error },
    );
  }
  await restoreAfter(undefined, { ip, restore });
  throw new PutBack(
    `firewall of ${ip}: expected sshd on port ${guard.sshPort} to answer a new connection with the new rules, got no answer within ${guard.seconds} s; ` +
      "the rules that were there before were put back; check that technicia:ssh.adminCidrs.v4 holds your address",
  );
}

async function restoreAfter(
  fault: unknown,
  { ip, restore }: { readonly ip: string; readonly restore: () => Promise<void> },
): Promise<void> {
  try {
    await restore();
  } catch (error) {
    throw new NotPutBack(
      `firewall of ${ip}: its rules keep you out${fault === undefined ? "" : ` (${messageOf(fault)})`}, and those before could not be put back: ` +
        `${messageOf(error)}; correct them in OVH's control panel, under the address ${ip}`,
      { cause: error },
    );
  }
}

interface Wanted {
  readonly rules: readonly EdgeRule[];
  readonly guard: EdgeGuard;
  readonly isPreview: boolean;
}

/** Refuses rules that would not let the operator in, before there is anything that could be tried. */
export async function refuseForeignOperator(
  { signal, log }: Pick<Call, "signal" | "log">,
  { rules, guard: { sshPort, addressService }, isPreview }: Wanted,
): Promise<void> {
  const sources = rules
    .filter(({ action, protocol, port }) => action === "permit" && protocol === "tcp" && port === sshPort)
    .map(({ source = "0.0.0.0/0" }) => source);
  const unknown = (why: string): void =>
    log.warning(
      `technicia:ssh.adminCidrs: not compared with the address that you come from, because ${why}; make sure yourself that ${sources.join(", ")} holds it`,
    );
  if (addressService === "none") return unknown("technicia:ssh.addressService is none");
  let address: string;
  try {
    address = await askAddressService(addressService, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    return unknown(error.message);
  }
  if (!isIPv4(address)) return unknown(`${addressService} sees ${address}, and ssh comes in over IPv4`);
  if (isWithin(address, sources)) return;
  const problem =
    `technicia:ssh.adminCidrs.v4: expected a range that holds ${address}, the address that ${addressService} sees you come from, ` +
    `got ${sources.join(", ")}; add "${only(address)}", or set technicia:ssh.addressService to none if ssh takes another way, such as a VPN`;
  // A CI's preview runs elsewhere than its deployment, which asks again before it changes the firewall.
  if (isPreview && process.env["CI"] === "true") return unknown(`this is a CI (otherwise: ${problem})`);
  throw new UserError(problem);
}
