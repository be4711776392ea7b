import { describe, expect, it } from "vitest";

import { effectOfExtra, isHostile, sinceOfExtra } from "../../../ops/drift/extra-lines.ts";

/** What a set prints and only a person can judge. */
const BY_HAND: readonly (readonly [line: string, typed: string])[] = [
  ["stray file /etc/profile.d/x.sh", "sudo rm /etc/profile.d/x.sh"],
  ["stray link /etc/profile.d/y.sh", "technicia:server.files"],
  ["changed file /etc/pam.d/sshd", "sudo apt-get install --reinstall"],
  ["setuid or setgid file /usr/local/bin/shell", "sudo chmod ug-s /usr/local/bin/shell"],
  ["capability file /usr/local/bin/net", "sudo setcap -r /usr/local/bin/net"],
  ["file of mode 0666, which everybody may change, /etc/hosts", "sudo chmod o-w /etc/hosts"],
  ["file of debian, who is not root, /usr/local/bin/tool", "sudo chown root /usr/local/bin/tool"],
  ["account mallory of no package", "sudo userdel mallory"],
  ["group mallory of no package", "sudo groupdel mallory"],
  ["renewal of the certificate by server = https://other.example/directory", "certificate renew --force"],
];

describe("effectOfExtra", () => {
  it.each(BY_HAND)("leaves %s to a person and says what to type", (line, typed) => {
    const { repair, byHand } = effectOfExtra(line);

    expect(byHand).toBe(true);
    expect(repair).toMatch(/^nothing automatic: /);
    expect(repair).toContain(typed);
  });

  it.each([
    "secret of mode 0644, which others may read, /opt/technicia/gateway/tls/privkey.pem",
    "file of root and mode 0777, which others than root may change, /opt/technicia/bin",
    "sudo file /etc/sudoers.d/web",
    "sshd file /etc/ssh/sshd_config.d/00-open.conf",
    "account mallory with the shell /bin/bash",
    "cron entry /etc/cron.d/mallory",
  ])("repairs %s", (line) => {
    expect(effectOfExtra(line).byHand).toBeUndefined();
  });

  it("quotes a path that the shell would read otherwise", () => {
    expect(effectOfExtra("stray file /etc/profile.d/a b'$(x).sh").repair).toContain(
      "sudo rm '/etc/profile.d/a b'\\''$(x).sh'",
    );
  });
});

describe("sinceOfExtra", () => {
  it("dates a file by its path and an account by the list of accounts", () => {
    expect(sinceOfExtra("stray file /etc/profile.d/x.sh")).toEqual(["file", "/etc/profile.d/x.sh"]);
    expect(sinceOfExtra("group mallory of no package")).toEqual(["file", "/etc/group"]);
  });
});

describe("isHostile", () => {
  it("takes a stray file for the trace of somebody inside", () => {
    expect(isHostile("stray file /etc/profile.d/x.sh")).toBe(true);
  });
});
