import { describe, expect, it } from "vitest";

import { HostFirewall, renderFallbackUnit } from "../../infra/host-firewall.ts";
import * as technicia from "../../provider/resources.ts";
import { tryRun } from "../../common/run.ts";
import { imageOf } from "../support/containers.ts";
import { register } from "../support/engine.ts";

const TABLE = "/etc/technicia/firewall.nft";
const adminCidrs = { v4: ["198.51.100.0/24", "192.0.2.7/32"], v6: ["2001:db8:51::/64"] };
const LOADED = "the loaded table is the file's";

/** The firewall's own scripts, as root on a Debian that has nftables and little else. */
async function onHost(steps: (scripts: { observe: string; apply: string; remove: string }) => string) {
  const { resource } = await register(() => {
    const host = new technicia.Connection("host", {});
    new HostFirewall("firewall", { host, sshPorts: [22], adminCidrs });
  });
  const { content } = resource("firewall-table").inputs;
  const scripts = resource("firewall-loaded").inputs as { observe: string; apply: string; remove: string };
  const rights = ["--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN"];
  const confinement = ["seccomp=unconfined", "apparmor=unconfined"].flatMap((off) => ["--security-opt", off]);
  const { code, stdout, stderr } = await tryRun(
    [
      "docker",
      ...["run", "--rm", "--interactive", "--network", "none", ...rights, ...confinement],
      ...["--entrypoint", "bash", await imageOf("router"), "-euo", "pipefail", "-s"],
    ],
    {
      input: `TABLE=${TABLE}
mkdir -p /etc/technicia
cat > "$TABLE" <<'END'
${String(content)}END
${steps(scripts)}`,
    },
  );
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return stdout;
}

describe("the host's firewall", () => {
  it("is accepted by nft, and is the same after a second load", async () => {
    const said = await onHost(({ observe, apply }) => `${apply}\n${apply}\n(${observe})`);

    expect(said).toBe(`${LOADED}\n`);
  });

  it("differs from its file before it is loaded and after it is removed", async () => {
    const said = await onHost(
      ({ observe, apply, remove }) =>
        `(${observe}) | sed -n 1p\n${apply}\n${remove}\n(${observe}) | sed -n 1p`,
    );

    expect(said).toBe("the loaded table differs from the file's:\n".repeat(2));
  });

  it("differs from its file when somebody adds a rule by hand", async () => {
    const said = await onHost(
      ({ observe, apply }) =>
        `${apply}\nnft add rule inet technicia input tcp dport 5678 accept\n(${observe})`,
    );

    expect(said).toContain("the loaded table differs from the file's:\n");
    expect(said).toMatch(/^> \s*tcp dport 5678 accept$/m);
  });

  it("has a fallback that admits ssh alone, which a later load of the table replaces", async () => {
    const [, rules = ""] =
      /ExecStart=\/usr\/sbin\/nft "(.*)"/.exec(renderFallbackUnit({ sshPorts: [22], adminCidrs })) ?? [];

    const said = await onHost(
      ({ observe, apply }) =>
        `nft '${rules}'\nnft '${rules}'\nnft list table inet technicia\n${apply}\n(${observe})`,
    );

    expect(said.match(/dport .*/g)).toEqual([
      "dport 68 accept",
      "dport 546 accept",
      expect.stringMatching(/^dport 22 ip saddr /),
      expect.stringMatching(/^dport 22 ip6 saddr /),
    ]);
    expect(said.match(/policy drop/g)).toHaveLength(2);
    expect(said.endsWith(`${LOADED}\n`)).toBe(true);
  });

  it("leaves the tables of others alone", async () => {
    const said = await onHost(
      ({ apply }) => `nft add table ip docker-like\n${apply}\n${apply}\nnft list tables`,
    );

    expect(said).toContain("table ip docker-like");
    expect(said).toContain("table inet technicia");
  });
});
