import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { HostKeyChanged } from "../../../provider/ssh/connect.ts";
import { opensshOptions } from "../../../provider/ssh/openssh-options.ts";
import {
  appendHistory,
  finishRelease,
  readHistory,
  readReleases,
  startRelease,
} from "../../../ops/server/records.ts";
import { breakLock, readLock, takeLock } from "../../../ops/server/lock.ts";
import type { AuditEvent, Release } from "../../../common/release.ts";
import { openServer, type Server } from "../../../ops/server/connection.ts";
import { startHost, type TestHost } from "../../support/host.ts";

let host: TestHost;
let ssh: Parameters<typeof openServer>[0]["ssh"];
let server: Server;
let second: Server;

beforeAll(async () => {
  host = await startHost();
  const [type, key] = (await host.exec("cat /etc/ssh/ssh_host_ed25519_key.pub")).split(" ");
  const { address, port, user, privateKeyFile } = host;
  ssh = { address, port, user, privateKeyFile, hostKey: `${type} ${key}` };
  [server, second] = [openServer({ ssh }), openServer({ ssh })];
});

afterAll(async () => {
  server.close();
  second.close();
  await host.stop();
});

const identity = (who: string) => ({ who, run: "", process: 1 });

describe("a real server", () => {
  it("is known to answer before it lets in, and not when it is another than the pinned one", async () => {
    const told: string[] = [];
    const look = (one: Server) =>
      one.run({ purpose: "look", script: "echo in", onAnswer: () => told.push("answers") });
    const fresh = openServer({ ssh });
    told.push((await look(fresh)).stdout.trim());
    told.push((await look(fresh)).stdout.trim());
    fresh.close();
    expect(told).toEqual(["answers", "in", "in"]);

    const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4A2DnKKdlJnNUKlt2TiqPsm5gQEmu0CjtkkGGPfPIe";
    const failure: unknown = await look(openServer({ ssh: { ...ssh, hostKey: other } })).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(HostKeyChanged);
    expect((failure as Error).message).toContain("expected the host key");
    expect(told).toHaveLength(3);
  });

  it("is logged in to once for all that Docker's plugin asks at the same moment", async () => {
    const accepted = "journalctl --unit ssh --no-pager | grep -c 'Accepted publickey' || true";
    const before = Number(await host.exec(accepted));
    const target = [...opensshOptions(ssh), "-p", `${ssh.port}`, "-l", ssh.user, ssh.address];
    const openssh = (...args: string[]) => promisify(execFile)("ssh", [...target, ...args]);

    await server.logInForDocker();
    const said = await Promise.all(Array.from({ length: 8 }, () => openssh("echo in")));

    expect(said.map(({ stdout }) => stdout)).toEqual(Array(8).fill("in\n"));
    expect(Number(await host.exec(accepted))).toBe(before + 1);
    await openssh("-O", "exit");
  });

  it("lets Docker's plugin in from a home without a folder for ssh", async () => {
    const home = await mkdtemp(join(tmpdir(), "home-"));
    const target = [...opensshOptions(ssh), "-p", `${ssh.port}`, "-l", ssh.user, ssh.address];
    const bare = (...args: string[]) =>
      promisify(execFile)("unshare", [
        ...["--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" ~ && exec ssh "$@"'],
        ...[home, ...target, ...args],
      ]);

    expect((await bare("echo in")).stdout).toBe("in\n");
    expect(await readdir(home)).toEqual([]);
    await bare("-O", "exit");
    await rm(home, { recursive: true });
  });

  it("keeps releases of two writers apart, each with one end", async () => {
    const begun: Omit<Release, "number" | "outcome"> = {
      stack: "test",
      kind: "deploy",
      revision: "abc",
      images: {},
      settingsHash: "0",
      settings: {},
      who: "alice@laptop",
      reason: "l'été \"d'ici\" à $HOME",
      emergency: false,
      startedAt: "2026-11-24T10:00:00.000Z",
      preflight: [],
      verify: [],
      restoredVerify: [],
      seconds: {},
    };
    const made = await Promise.all([server, second, server, second].map((one) => startRelease(one, begun)));
    await finishRelease(server, { ...made[0]!, outcome: "succeeded" });
    await expect(finishRelease(second, { ...made[0]!, outcome: "failed" })).rejects.toThrow(
      "somebody else has recorded",
    );

    const { releases, corrupt } = await readReleases(second);
    expect(releases.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(releases.find(({ number }) => number === made[0]!.number)).toEqual({
      ...made[0],
      outcome: "succeeded",
    });
    expect(corrupt).toEqual([]);
  });

  it("keeps the audit where even root can only add to it", async () => {
    const event: AuditEvent = {
      at: "2026-11-24T10:00:00.000Z",
      who: "alice@laptop",
      action: "deploy",
      reason: "",
      detail: "l'été",
    };
    await Promise.all([server, second].map((one) => appendHistory(one, event)));

    expect((await readHistory(server)).events).toEqual([event, event]);
    const tampered = await host.tryExec("echo > /var/lib/technicia/history.jsonl");
    expect(tampered).toMatchObject({ stderr: expect.stringContaining("Operation not permitted") as string });
    expect((await host.tryExec("rm -f /var/lib/technicia/history.jsonl")).code).not.toBe(0);
    expect((await readHistory(server)).events).toHaveLength(2);
  });

  it("gives the lock to one at a time, takes signs of life, and lets a dead one be broken by name", async () => {
    const ask = (who: string, from: Server) =>
      takeLock(from, {
        stack: "test",
        identity: identity(who),
        why: "deploy: x",
        isAlive: () => true,
        say: () => undefined,
        pause: () => Promise.reject(new Error("expected no pause, got one")),
      });
    const { lock } = await ask("alice@laptop", server);
    await expect(ask("bob@desk", second)).rejects.toThrow("got alice@laptop since");
    expect(await lock.renew()).toBe(true);
    await host.exec("touch --date '5 minutes ago' /var/lib/technicia/lock/lease");
    await breakLock(second, { stack: "test", holder: "alice@laptop", force: undefined });
    await ask("bob@desk", second);

    expect(await lock.renew()).toBe(false);
    await lock.release();
    expect((await readLock(server))!.holder.who).toBe("bob@desk");
    expect((await host.exec("ls -A /var/lib/technicia")).trim().split("\n")).toEqual([
      "history.jsonl",
      "lock",
      "releases",
    ]);
  });
});
