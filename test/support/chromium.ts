import { spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { chromium, type Browser } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const INSTALL = ["install", "--yes", "--no-install-recommends", "chromium"];
const BY_HAND = `apt-get ${INSTALL.join(" ")}`;

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
  await apt(["update", "--quiet"]);
  await apt(INSTALL);
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

function apt(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    // Another installation may hold dpkg's lock for a while.
    const child = spawn("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let told = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (told += text));
    child.on("error", (error) => {
      reject(new Error(`chromium: expected apt-get to install it, got ${error.message}; install it by hand`));
    });
    child.on("close", (code) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(
            `chromium: expected apt-get ${args.join(" ")} to succeed, got exit code ${code}; ` +
              `install it by hand\n${told.trim().split("\n").slice(-20).join("\n")}`,
          ),
        );
    });
  });
}
