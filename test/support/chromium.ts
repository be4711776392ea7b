import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { chromium, type Browser } from "playwright-core";

import { aptCommand } from "../../rehearsal/apt.ts";
import { run } from "../../common/run.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const BY_HAND = "apt-get install --yes --no-install-recommends chromium";

let executable: Promise<string> | undefined;

/** A browser of our own to drive: the Chromium that PATH finds, or else Debian's, installed once. */
export async function launchChromium(): Promise<Browser> {
  executable ??= findOrInstall();
  return chromium.launch({ executablePath: await executable });
}

async function findOrInstall(): Promise<string> {
  const found = await find();
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0) {
    throw new Error(`chromium: expected it on PATH, got none; install it: sudo ${BY_HAND}`);
  }
  console.log(`chromium is not there; installing it: ${BY_HAND}`);
  const began = performance.now();
  await run(aptCommand(["chromium"]));
  const installed = await find();
  if (installed === undefined)
    throw new Error(`chromium: expected it on PATH after ${BY_HAND}, got none; install it by hand`);
  console.log(`installed chromium in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return installed;
}

async function find(): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of NAMES) {
      const isThere = await access(join(folder, name), constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return join(folder, name);
    }
  }
  return undefined;
}
