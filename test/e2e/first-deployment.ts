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
