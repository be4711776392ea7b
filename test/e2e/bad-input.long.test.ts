import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import {
  ensureStarted,
  startAgain,
  expectQuiet,
  management,
  onServer,
  operator,
  pulumi,
  set,
  until,
  up,
} from "./rehearsal.ts";

beforeAll(ensureStarted);
afterAll(startAgain);

/** What a run said that was meant to fail; colours and line breaks of the terminal taken out. */
async function failureOf(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await pulumi(...args);
  expect(code, stdout).not.toBe(0);
  return `${stdout}\n${stderr}`;
}

const LOOK = ["preview", "--refresh"];
const APPLY = ["up", "--yes", "--skip-preview"];

describe("a command on a broken server", () => {
  it("names the server when its sshd does not answer, and succeeds afterwards", async () => {
    await onServer("systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh.service");
    try {
      expect(await failureOf(...LOOK)).toMatch(/198\.18\.113\.10:22.*(refused|answer)/s);
    } finally {
      await onServer("systemctl start ssh.service");
    }
    await expectQuiet();
  });

  it("refuses another host key and prints both fingerprints", async () => {
    // Mounted over the server's own, whose times stay as they are: a file that is younger than the first boot is a stranger's.
    await onServer(`
      ssh-keygen -q -t ed25519 -N '' -f /run/other-key
      mount --bind /run/other-key /etc/ssh/ssh_host_ed25519_key; mount --bind /run/other-key.pub /etc/ssh/ssh_host_ed25519_key.pub
      systemctl restart ssh.service`);
    try {
      const said = await failureOf(...LOOK);
      expect(new Set(said.match(/SHA256:[A-Za-z0-9+/]{43}/g)).size).toBeGreaterThanOrEqual(2);
    } finally {
      await onServer(`
        umount /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key.pub; rm /run/other-key /run/other-key.pub
        systemctl restart ssh.service`);
    }
    await expectQuiet();
  });

  it("keeps the old file when the disk is full, and writes the new one in the next run", async () => {
    const file = "/etc/technicia/certificate.env";
    const before = await onServer(`cat ${file}`);
    await set("technicia:adminEmail", "autre@technicia.example");
    await onServer(`
      cp -a /etc/technicia /root/technicia.kept
      mount -t tmpfs -o size=16k tmpfs /etc/technicia
      cp -a /root/technicia.kept/. /etc/technicia/
      dd if=/dev/zero of=/etc/technicia/filler bs=1k 2>/dev/null || true`);
    try {
      expect(await failureOf(...APPLY)).toMatch(/disk of the host is full.*make room/s);
      expect(await onServer(`cat ${file}; ls -A /etc/technicia`)).toContain(before);
      expect(await onServer("ls -A /etc/technicia")).not.toMatch(/\.(new|tmp|technicia)/);
    } finally {
      await onServer("umount /etc/technicia; rm -rf /root/technicia.kept");
    }
    await up();
    expect(await onServer(`cat ${file}`)).toContain("autre@technicia.example");
    await expectQuiet();
  });

  it("prints who holds apt's lock, and installs the package once the lock is free", async () => {
    const version = "dpkg-query --show --showformat '${db:Status-Abbrev}' unattended-upgrades";
    await onServer("DEBIAN_FRONTEND=noninteractive apt-get remove --yes --quiet unattended-upgrades");
    await onServer(`systemd-run --quiet --unit=holds-apt python3 -c '
import fcntl, time
lock = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(3600)'`);
    const said: string[] = [];
    const running = operator(["pulumi", ...APPLY, "--refresh", "--stack", "test", "--non-interactive"], {
      onLine: (line) => void said.push(line),
    });
    try {
      // After a refresh of everything.
      const isSaid = () => said.some((line) => /held by process \d+ \(python3\)/.test(line));
      await until("the run prints who holds the lock", () => Promise.resolve(isSaid()), 240);
    } finally {
      await onServer("systemctl stop holds-apt.service");
      await running;
    }
    const { code, stdout, stderr } = await running;
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(await onServer(version)).toBe("ii ");
    await expectQuiet();
  });
});

describe("a certificate authority that refuses", () => {
  it("appears in the error with its words, while the old certificate stays in use", async () => {
    const directory = "https://198.51.100.14:14000";
    await set("technicia:acme.directory", `${directory}/none`);
    expect(await failureOf(...APPLY)).toMatch(/certificate-served.*(404|not found|directory)/is);

    await set("technicia:acme.directory", `${directory}/dir`);
    await up();
    await expectQuiet();
  });
});

describe("a cloud that fails", () => {
  afterEach(async () => {
    await management("faults", "DELETE");
  });

  it.each([
    [
      "OVH",
      401,
      { api: "ovh", path: "^/vps", status: 401, body: { message: "This credential is not valid" } },
    ],
    [
      "OVH",
      403,
      { api: "ovh", path: "^/vps", status: 403, body: { message: "This call has not been granted" } },
    ],
    ["OVH", 500, { api: "ovh", path: "^/ip", status: 500, body: { message: "Internal server error" } }],
    ["OVH, cut off", "cut|closed|reset|socket", { api: "ovh", path: "^/vps", cut: "before" }],
    [
      "Cloudflare",
      403,
      { api: "cloudflare", path: "dns_records", status: 403, body: { success: false, errors: [] } },
    ],
    [
      "Cloudflare",
      500,
      { api: "cloudflare", path: "dns_records", status: 500, body: { success: false, errors: [] } },
    ],
  ])("%s (%s) is named, and nothing is lost", async (_, told, fault) => {
    const before = (await pulumi("stack", "export")).stdout;
    await management("faults", "POST", { ...fault, times: 0 });
    expect(await failureOf(...LOOK)).toMatch(new RegExp(String(told), "i"));
    expect((await pulumi("stack", "export")).stdout).toBe(before);

    await management("faults", "DELETE");
    await expectQuiet();
  });

  it("is called again after a 429", async () => {
    await management("faults", "POST", {
      api: "ovh",
      path: "^/vps",
      status: 429,
      body: { message: "Too many requests" },
      times: 2,
    });
    await expectQuiet();
  });
});
