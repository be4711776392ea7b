import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

import { fingerprint, readPublicKey } from "../../../provider/ssh/keys.ts";

describe("fingerprint", () => {
  it("equals what ssh-keygen prints", () => {
    const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpQXBzCEcwA6VFtWSEZQ3oKX5WSH0pBMFnkzDpdqA6u comment";
    const { stdout } = spawnSync("ssh-keygen", ["-lf", "-"], { input: key, encoding: "utf8" });

    expect(stdout.split(" ")[1]).toBe(fingerprint(readPublicKey(key).blob));
  });
});

describe("readPublicKey", () => {
  it.each([
    "",
    "ssh-ed25519",
    "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIIpQXBzCEcwA6VFtWSEZQ3oKX5WSH0pBMFnkzDpdqA6u",
    "ssh-ed25519 ????",
  ])("fails when the text is %j", (text) => {
    expect(() => readPublicKey(text)).toThrow("expected a public key");
  });
});
