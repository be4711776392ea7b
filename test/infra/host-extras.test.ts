import { describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { HostExtras } from "../../infra/host-extras.ts";
import * as technicia from "../../provider/resources.ts";
import { DECLARED } from "../../stacks/declared.ts";
import { register } from "../support/engine.ts";
import { deploy, everything, usual, type Variant } from "../support/technicia.ts";

/** Places of which a set knows every file; those of sshd, sudo and people's keys have rules of their own. */
const WATCHED = /^\/(etc|usr|opt\/technicia|var\/spool\/cron)\/(?!ssh\/|sudoers\.d\/)/;

function define() {
  return register(
    () =>
      new HostExtras(
        "extra",
        {
          host: new technicia.Connection("host", {}),
          ssh: {
            user: "debian",
            ports: [2222],
            admins: [{ name: "alice" }, { name: "bob" }],
            adminCidrs: { v4: ["198.51.100.0/24"] },
          },
          files: ["/etc/sysctl.d/60-technicia.conf"],
          containers: ["technicia-tunnel"],
          services: ["technicia-n8n", "technicia-qdrant"],
          networks: ["technicia-data"],
          volumes: ["technicia-qdrant-storage"],
        },
        {},
      ),
  );
}

describe("HostExtras", () => {
  it("compares seven sets, each as a whole", async () => {
    const { registrations } = await define();
    const sets = registrations.filter(({ type }) => type === "technicia:host:State");

    expect(sets.map(({ name }) => name).sort()).toEqual([
      "extra-access",
      "extra-containers",
      "extra-files",
      "extra-objects",
      "extra-ports",
      "extra-rules",
      "extra-system",
    ]);
    expect(new Set(sets.map(({ inputs }) => inputs["desired"]))).toEqual(new Set([NOTHING_EXTRA]));
  });

  it("passes to each set what is declared", async () => {
    const { resource } = await define();
    const variables = (name: string) => resource(name).inputs["variables"] as Record<string, string>;

    expect(variables("extra-access")).toMatchObject({
      LOGIN: "debian",
      ADMINS: "alice bob",
      INSIDE: "198.51.100.0",
    });
    expect(variables("extra-access")["SSHD"]?.split("\n")).toEqual(
      expect.arrayContaining(["port 2222", "permitrootlogin no", "allowusers debian alice bob"]),
    );
    expect(variables("extra-files")["SYSCTL"]?.split("\n")).toContain("vm.swappiness = 10");
    for (const set of ["extra-files", "extra-system"]) {
      expect(variables(set)["FILES"]).toBe("/etc/sysctl.d/60-technicia.conf");
    }
    expect(variables("extra-ports")).toEqual({ SET: "ports", SSH_PORT: "2222" });
    expect(variables("extra-containers")).toEqual({
      SET: "containers",
      CONTAINERS: "technicia-tunnel",
      SERVICES: "technicia-n8n technicia-qdrant",
      NETWORKS: "technicia-data",
    });
  });
});

describe("HostExtras before a move of sshd's port", () => {
  it("expects both ports, as sshd -T gives them", async () => {
    const { resource } = await register(
      () =>
        new HostExtras(
          "extra",
          {
            host: new technicia.Connection("host", {}),
            ssh: { user: "debian", ports: [22, 2222], admins: [], adminCidrs: { v4: [] } },
            ...DECLARED,
          },
          {},
        ),
    );
    const variables = (name: string) => resource(name).inputs["variables"] as Record<string, string>;

    expect(variables("extra-access")["SSHD"]?.split("\n")[0]).toBe("port 22 2222");
    expect(variables("extra-ports")["SSH_PORT"]).toBe("22 2222");
  });

  it("guards the repairs that may end a login", async () => {
    const { ofType } = await define();
    const guarded = ofType("technicia:host:State").filter(({ inputs }) => inputs["guard"] !== undefined);

    expect(guarded.map(({ name }) => name)).toEqual(["extra-access", "extra-rules"]);
  });
});

describe("DECLARED", () => {
  it("names every file of the program that a set looks at, and no other", async () => {
    const { registrations } = await deploy(everything);
    const paths = registrations
      .flatMap(({ type, inputs }) => {
        if (type === "technicia:host:File") return [String(inputs["path"])];
        // A mask is a file, too.
        return inputs["masked"] === true ? [`/etc/systemd/system/${String(inputs["unit"])}`] : [];
      })
      .filter((path) => WATCHED.test(path));

    expect(paths.sort()).toEqual([...DECLARED.files].sort());
  });

  it("leaves to their owner the files that the settings name, and Docker's source only where it is Docker's", async () => {
    const filesOf = async (variant: Variant) => {
      const { resource } = await deploy(variant);
      return (resource("extra-system").inputs["variables"] as Record<string, string>)["FILES"]?.split("\n");
    };
    const source = "/etc/apt/sources.list.d/docker.sources";

    expect(await filesOf(usual)).not.toContain(source);
    expect(await filesOf(everything)).toContain(source);
    expect(await filesOf({ settings: { "server.files": ["/etc/profile.d/equipe.sh"] } })).toContain(
      "/etc/profile.d/equipe.sh",
    );
  });

  it.each([
    ["docker:index/service:Service", DECLARED.services],
    ["docker:index/container:Container", DECLARED.containers],
    ["docker:index/network:Network", DECLARED.networks],
    ["docker:index/volume:Volume", DECLARED.volumes],
  ] as const)("names every %s of the program, and no other", async (type, names) => {
    const { registrations } = await deploy(everything);
    const made = registrations.filter((one) => one.type === type).map(({ inputs }) => inputs["name"]);

    expect(made.sort()).toEqual([...names].sort());
  });

  it("names the service of every secret, because a secret's own name ends in random letters", async () => {
    const { registrations } = await deploy(everything);
    const strays = registrations
      .filter(({ type }) => type === "docker:index/secret:Secret")
      .filter(({ name }) => !DECLARED.services.some((service) => name.startsWith(`${service}-`)));

    expect(strays).toEqual([]);
  });
});
