/** What each of several servers measures and sends, and who may send to the stores. */
import { beforeAll, describe, expect, it } from "vitest";

import { DECLARED } from "../../stacks/declared.ts";
import type { Deployment } from "../../stacks/outputs.ts";
import { tunnelAddress } from "../../stacks/servers.ts";
import type { Recording } from "../support/engine.ts";
import { listed, three, twoAndWitness } from "../support/servers.ts";
import { deploy, everything, type Variant } from "../support/technicia.ts";

type Program = Recording<Deployment>;

const addressOf = (name: string) => tunnelAddress({ cidr: "10.86.0.0/16" }, name);
const inputsOf = ({ resource }: Program, name: string) => resource(name).inputs;
const contentOf = (program: Program, name: string) => String(inputsOf(program, name)["content"]);
const withList = (servers: Parameters<typeof listed>[0]): Variant => ({
  settings: { ...everything.settings, ...listed(servers) },
});

describe.each([
  ["three servers", three, ["gra-2", "gra-3"]],
  ["two servers and a witness", twoAndWitness, ["gra-2", "sbg-1"]],
] as const)("the monitoring of %s", (_shape, servers, others) => {
  let program: Program;
  beforeAll(async () => {
    program = await deploy(withList(servers));
  });
  const home = addressOf("gra-1");

  it("measures every server and takes its journal, through the tunnel", () => {
    for (const name of others) {
      const own = (role: string) => `${name}/server-monitoring-${role}`;

      expect(contentOf(program, own("collect-service"))).toContain(`Environment=STORE=${home}:9427\n`);
      expect(contentOf(program, own("journal-settings"))).toBe(
        `[Upload]\nURL=http://${home}:9427/insert/journald\n`,
      );
      expect(program.resource(own("collect")).provider).toBe(`${name}/host-connection`);
      for (const unit of ["exporter", "collect", "journal-upload"])
        expect(inputsOf(program, own(unit)), unit).toMatchObject({ enabled: true, active: true });
      expect(program.waitsFor(own("collect"), "technicia-metrics-service")).toBe(true);
      expect(inputsOf(program, `${name}/host-packages`)["names"]).toEqual(
        expect.arrayContaining(["prometheus-node-exporter", "systemd-journal-remote"]),
      );
    }
  });

  it("has every exporter listen on its own server's loopback", () => {
    for (const name of ["", ...others.map((other) => `${other}/`)]) {
      const text = contentOf(program, `${name}host-exporter-override`);
      expect(text.match(/listen-address=\S+/g)).toEqual(["listen-address=127.0.0.1:9100"]);
      expect(program.waitsFor(`${name}host-packages`, `${name}host-exporter-override`)).toBe(true);
    }
  });

  it("has the server of the stores send in the same way, over its loopback", () => {
    expect(contentOf(program, "monitoring-collect-service")).toContain("Environment=STORE=127.0.0.1:9426\n");
    expect(contentOf(program, "monitoring-journal-settings")).toBe(
      "[Upload]\nURL=http://127.0.0.1:9426/insert/journald\n",
    );
  });

  it("asks every server that manages the Swarm what it is to run", () => {
    for (const name of ["monitoring-", ...others.map((other) => `${other}/server-monitoring-`)])
      expect(contentOf(program, `${name}collect-service`)).toContain("\nEnvironment=MANAGES_SWARM=yes\n");
  });

  it("takes what they send at an address of the tunnel, and from their addresses alone", () => {
    const { ports } = inputsOf(program, "technicia-tunnel") as { ports: { ip: string; external: number }[] };

    expect(ports.filter(({ ip }) => ip !== "127.0.0.1")).toEqual([
      { ip: home, external: 9427, internal: 9427 },
    ]);
    const rule = `    iifname "wg0" ip saddr { ${others.map(addressOf).join(", ")} } meta l4proto tcp ct status dnat ct original proto-dst 9427 accept\n    counter drop\n`;
    expect(contentOf(program, "host-firewall-table")).toContain(rule);
    for (const name of others)
      expect(contentOf(program, `${name}/host-firewall-table`)).not.toContain("9427");
  });

  it("names the sender by its address in the tunnel, and takes nothing but measurements and lines", () => {
    const text = contentOf(program, "technicia-tunnel-configuration");
    const intake = text.slice(text.indexOf('map "$server_port'));

    for (const name of others) expect(intake).toContain(`    "9427 ${addressOf(name)}" ${name};\n`);
    expect(intake).toContain('    default "";\n    "~^9426 " gra-1;\n');
    expect(intake).toContain('    if ($sender = "") { return 403; }\n');
    expect([...intake.matchAll(/location (.*) \{/g)].map(([, path]) => path)).toEqual([
      "= /api/v1/import/prometheus",
      "= /insert/journald/upload",
      "= /insert/jsonline",
      "/",
    ]);
    expect(intake).toContain(
      "proxy_pass http://$target/api/v1/import/prometheus?extra_label=server=$sender;",
    );
    expect(intake).toContain("location / { return 404; }");
  });

  it("takes the access log of each other gateway at the socket that its nginx writes to, and sends it on", () => {
    for (const name of others) {
      const own = (role: string) => `${name}/server-monitoring-access-${role}`;
      const names = program.registrations.filter((one) => one.name.startsWith(own("")));
      if (!name.startsWith("gra")) {
        expect(names).toEqual([]);
        continue;
      }
      expect(contentOf(program, own("socket"))).toContain(
        "ListenDatagram=/opt/technicia/monitoring/socket/access.sock\nSocketGroup=101\nSocketMode=0660\n",
      );
      expect(contentOf(program, own("service"))).toContain(`Environment=STORE=${home}:9427\n`);
      for (const unit of ["taken", "sent"])
        expect(inputsOf(program, own(unit))).toMatchObject({ enabled: true, active: true });
      expect(program.waitsFor(own("sent"), `${name}/server-monitoring-program-measure`)).toBe(true);
      expect(program.waitsFor(own("sent"), own("taken"))).toBe(true);
    }
  });

  it("declares every file that it writes", () => {
    const declared: readonly string[] = [...DECLARED.files, ...DECLARED.filesOfSeveral];
    const written = program.registrations
      .filter(({ type, name }) => type === "technicia:host:File" && name.includes("monitoring-"))
      .map(({ inputs }) => inputs["path"] as string);

    expect(written.length).toBeGreaterThan(20);
    expect(written.filter((path) => !declared.includes(path))).toEqual([]);
  });
});

describe("the monitoring of servers whose data is on the second one", () => {
  it("is there, and the first one sends to it", async () => {
    const program = await deploy(
      withList([
        { ...three[1]!, name: "gra-1" },
        { ...three[0]!, name: "gra-2" },
        { ...three[2]!, role: "worker" },
        { ...three[2]!, name: "gra-4", serviceName: "vps-4a2b3c4d.vps.ovh.net" },
      ]),
    );

    expect(program.resource("monitoring-collect").provider).toBe("gra-2/host-connection");
    expect(program.resource("server-monitoring-collect").provider).toBe("host-connection");
    expect(contentOf(program, "server-monitoring-collect-service")).toContain(
      `Environment=STORE=${addressOf("gra-2")}:9427\n`,
    );
    expect(contentOf(program, "gra-2/host-firewall-table")).toContain("ct original proto-dst 9427 accept");
    expect(contentOf(program, "host-firewall-table")).not.toContain("9427");
    // A worker cannot be asked for services.
    expect(contentOf(program, "gra-3/server-monitoring-collect-service")).not.toContain("MANAGES_SWARM");
  });
});

describe("the monitoring on a server where no visitors arrive", () => {
  it("mounts no folder of a gateway, and takes the access log of the others", async () => {
    const program = await deploy(
      withList([
        { ...three[0]!, labels: three[0]!.labels.filter((label) => label !== "gateway") },
        ...three.slice(1),
      ]),
    );
    const { taskSpec } = inputsOf(program, "technicia-logs-service") as {
      taskSpec: { containerSpec: { args: string[]; mounts: { type: string }[] } };
    };

    expect(taskSpec.containerSpec.mounts.map(({ type }) => type)).toEqual(["volume"]);
    expect(taskSpec.containerSpec.args.join(" ")).not.toContain("syslog");
    expect(program.resource("gra-2/server-monitoring-access-sent").provider).toBe("gra-2/host-connection");
  });
});

describe("several servers without monitoring", () => {
  it("measure and send nothing", async () => {
    const { registrations } = await deploy({
      settings: { ...listed(three), monitoring: { enabled: false } },
    });
    const names = registrations.map(({ name }) => name);

    expect(names.filter((name) => /monitoring|exporter/.test(name))).toEqual([]);
    expect(JSON.stringify(registrations.map(({ inputs }) => inputs))).not.toContain("9427");
  });
});
