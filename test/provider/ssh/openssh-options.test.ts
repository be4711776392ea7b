import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, it } from "vitest";

import { prepareControlFolder } from "../../../provider/ssh/control-folder.ts";
import { opensshOptions } from "../../../provider/ssh/openssh-options.ts";

it("never prompts, trusts only the recorded host key, and shares one connection", () => {
  const given = opensshOptions({ privateKeyFile: "~/.ssh/id_ed25519", hostKey: "ssh-ed25519 AAAAhost" });
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityFile=${HOME}/.ssh/id_ed25519",
    "StrictHostKeyChecking=yes",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "KnownHostsCommand=/bin/echo %H ssh-ed25519 AAAAhost",
    "ControlMaster=auto",
    "ControlPath=/tmp/technicia-%i/%C",
    "ControlPersist=120s",
    "ServerAliveInterval=15",
    "ConnectTimeout=30",
  ];

  expect(given).toEqual(options.flatMap((option) => ["-o", option]));
});

it.each([
  "/home/jean dupont/.ssh/id",
  "/home/élodie/.ssh/id",
  '/home/o\'neil "jr"/.ssh/id',
  "/home/100%C/.ssh/id",
])("names the key %s so that OpenSSH finds it", (privateKeyFile) => {
  const options = opensshOptions({ privateKeyFile, hostKey: "ssh-ed25519 AAAAhost" });

  const { stdout } = spawnSync("ssh", ["-G", ...options, "server"], { encoding: "utf8" });

  // What ssh prints still has its tokens.
  expect(stdout.split("\n")).toContain(`identityfile ${privateKeyFile.replaceAll("%", "%%")}`);
});

it("leaves room in the path of the control socket for every user's number", () => {
  const longest = `/tmp/technicia-4294967295/${"f".repeat(40)}.${"x".repeat(16)}`;

  expect(Buffer.byteLength(longest)).toBeLessThan(104);
});

it("makes the folder of the control sockets, and refuses one that others may enter", () => {
  const folder = mkdtempSync(join(tmpdir(), "control-"));
  const path = join(folder, "sockets");

  prepareControlFolder(path);
  prepareControlFolder(path);
  chmodSync(path, 0o777);
  expect(() => prepareControlFolder(path)).toThrow("with the permissions 777; remove it");
  rmSync(path, { recursive: true });
  symlinkSync("/tmp", path);
  expect(() => prepareControlFolder(path)).toThrow("got something else; remove it");

  rmSync(folder, { recursive: true });
});

it("looks for keys in $HOME, whatever home the system knows for the user", () => {
  const home = mkdtempSync(join(tmpdir(), "openssh "));
  mkdirSync(join(home, ".ssh"));
  const file = join(home, ".ssh", "technicia");
  expect(spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]).status).toBe(0);
  // Like a job of the CI: the private half is in the agent only.
  rmSync(file);
  const options = opensshOptions({ privateKeyFile: "~/.ssh/technicia", hostKey: "ssh-ed25519 AAAAhost" });
  const alone = ["-o", "ControlPath=none", "-o", "ProxyCommand=cat /dev/null"];
  const env = { ...process.env, HOME: home };
  const { stderr } = spawnSync("ssh", ["-v", ...alone, ...options, "host.invalid"], {
    encoding: "utf8",
    env,
  });

  // Type 3 is an ed25519 key, -1 a file that is not there.
  expect(stderr).toContain(`identity file ${file} type 3`);
  rmSync(home, { recursive: true });
});
