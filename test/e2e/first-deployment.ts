/** A deployment from nothing, on a server that is delivered as the test wants it. */
import { expect } from "vitest";

import { deploy, lastRelease } from "./deployments.ts";
import { expectNoDrift } from "./drift-check.ts";
import { askHealth, expectQuiet, npm } from "./rehearsal.ts";

/** Removes the rehearsal that there is, so that the next start delivers a server. */
export async function stopRehearsal(): Promise<void> {
  const { code, stdout, stderr } = await npm("run", "rehearsal:stop");
  expect(code, `${stdout}\n${stderr}`).toBe(0);
}

/** Starts with these arguments of `npm start` until it answers over HTTPS, and says how long that took. */
export async function startFirst(what: string, ...args: string[]): Promise<string> {
  const began = Date.now();
  const { code, stdout, stderr } = await npm("start", ...(args.length === 0 ? [] : ["--", ...args]));
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  const deployed = /deployed in ([\d.]+) s/.exec(stdout)?.[1] ?? "?";
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  console.log(`the first deployment on ${what} took ${deployed} s, npm start ${seconds} s`);
  await askHealth();
  return stdout;
}

/** What a refusal says, and what a person then does. */
export interface Remedy {
  /** Its group is given to `type`. */
  readonly says: RegExp;
  readonly type: (captured: string) => Promise<unknown>;
}

/**
 * Starts again and again until it succeeds, and after each refusal does what it says. Every remedy has to be needed, and every failure to be
 * one that has a remedy. Gives all that was said.
 */
export async function startFollowing(
  what: string,
  { args, remedies }: { readonly args: readonly string[]; readonly remedies: readonly Remedy[] },
): Promise<{ readonly said: string }> {
  const left = new Set(remedies);
  let said = "";
  let given: readonly string[] = ["--", ...args];
  for (let starts = 1; ; starts += 1) {
    const began = Date.now();
    const { code, stdout, stderr } = await npm("start", ...given);
    said += `${stdout}\n${stderr}\n`;
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    if (code === 0) {
      console.log(`the first deployment on ${what} took ${starts} starts, the last one ${seconds} s`);
      break;
    }
    const found = [...left].flatMap((remedy) => {
      const match = remedy.says.exec(`${stdout}\n${stderr}`);
      return match === null ? [] : [{ remedy, captured: match[1] ?? "" }];
    });
    if (found.length === 0) throw new Error(`start ${starts} on ${what} failed\n${stdout}\n${stderr}`);
    console.log(`start ${starts} on ${what} was refused after ${seconds} s, for ${found.length} reasons`);
    for (const { remedy, captured } of found) {
      left.delete(remedy);
      await remedy.type(captured);
    }
    given = [];
  }
  expect([...left].map(({ says }) => says.source)).toEqual([]);
  await askHealth();
  return { said };
}

/** Expects that it stays as it is, that nothing on the server is unaccounted for, and that a deployment passes every gate. */
export async function expectSound(): Promise<void> {
  await expectQuiet();
  await expectNoDrift();
  const { code, stdout, stderr } = await deploy();
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  const { outcome, verify } = await lastRelease();
  expect(outcome).toBe("succeeded");
  expect(verify.filter((check) => check.outcome === "failed")).toEqual([]);
}
