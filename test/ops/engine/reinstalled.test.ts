import { describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import type { Pulumi } from "../../../ops/engine/cli.ts";
import {
  forgetHost,
  forgetReinstalled,
  forgetServer,
  type ReinstalledOptions,
} from "../../../ops/engine/reinstalled.ts";

const urn = (type: string, name: string) => `urn:pulumi:test::technicia::${type}::${name}`;
const CONNECTION = urn("pulumi:providers:technicia", "host-connection");
const SERVER = urn("technicia:ovh:Vps", "vps-server");

function resource(type: string, name: string, more: object = {}) {
  return { urn: urn(type, name), type, custom: true, inputs: {}, outputs: {}, ...more };
}

const dns = resource("cloudflare:index/dnsRecord:DnsRecord", "dns", {
  dependencies: [SERVER],
  propertyDependencies: { content: [SERVER], comment: null },
});
const probe = resource("command:local:Command", "probe", {
  dependencies: [SERVER, urn("docker:index/service:Service", "gateway")],
  propertyDependencies: { triggers: [urn("docker:index/service:Service", "gateway")] },
});

/** A state whose host was set up under installation 1. */
function stateOf(installation: number) {
  const host = { serverId: "vps-1/1" };
  const onHost = { provider: `${CONNECTION}::old` };
  return {
    version: 3,
    deployment: {
      manifest: { time: "now" },
      resources: [
        resource("pulumi:pulumi:Stack", "technicia-test"),
        resource("pulumi:providers:technicia", "cloud", { id: "c" }),
        resource("technicia:ovh:Vps", "vps-server", {
          outputs: { serverId: `vps-1/${installation}` },
          provider: `${urn("pulumi:providers:technicia", "cloud")}::c`,
        }),
        resource("technicia:host:HostKey", "host-key", { inputs: host }),
        resource("pulumi:providers:technicia", "host-connection", { id: "old", inputs: host }),
        resource("technicia:host:File", "sysctl", onHost),
        resource("pulumi:providers:docker", "docker", { id: "d" }),
        resource("docker:index/volume:Volume", "data", { protect: true }),
        resource("docker:index/service:Service", "gateway"),
        dns,
        probe,
      ],
    },
  };
}

/** Runs it where a refresh makes the first state into the second; gives what was put back. */
async function run(before: object, after: object, options: ReinstalledOptions = {}) {
  let isRefreshed = false;
  let imported: ReturnType<typeof stateOf> | undefined;
  const asked: string[] = [];
  const pulumi: Pulumi = ({ args, input = "" }) => {
    asked.push(args.join(" "));
    if (args[0] === "refresh") isRefreshed = true;
    if (args[1] === "import") imported = JSON.parse(input) as ReturnType<typeof stateOf>;
    return Promise.resolve(args[1] === "export" ? JSON.stringify(isRefreshed ? after : before) : "");
  };
  const forgotten = await forgetReinstalled("test", pulumi, options);
  return { forgotten, imported, asked };
}

const names = (state: ReturnType<typeof stateOf> | undefined) =>
  state?.deployment.resources.map((one) => one.urn.split("::").at(-1));

describe("forgetReinstalled", () => {
  it("removes everything on the old installation from the state", async () => {
    const { forgotten, imported, asked } = await run(stateOf(1), stateOf(2));

    expect(forgotten).toEqual(["host-key", "host-connection", "sysctl", "data", "gateway"]);
    expect(names(imported)).toEqual(["technicia-test", "cloud", "vps-server", "docker", "dns", "probe"]);
    expect(imported?.deployment.manifest).toEqual({ time: "now" });
    expect(asked[1]).toBe(`refresh --yes --skip-preview --stack test --target ${SERVER}`);
  });

  it("removes dependencies on what is gone, and keeps every other one", async () => {
    const { imported } = await run(stateOf(1), stateOf(2));

    expect(imported?.deployment.resources.at(-2)).toEqual({
      ...dns,
      propertyDependencies: { content: [SERVER], comment: [] },
    });
    expect(imported?.deployment.resources.at(-1)).toMatchObject({
      dependencies: [SERVER],
      propertyDependencies: { triggers: [] },
    });
  });

  it("keeps what an update has since created on the new installation", async () => {
    const state = stateOf(2);
    const news = { id: "new", inputs: { serverId: "vps-1/2" } };
    state.deployment.resources.push(
      resource("technicia:host:HostKey", "host-key", { inputs: news.inputs }),
      resource("pulumi:providers:technicia", "host-connection", news),
      resource("technicia:host:File", "journal", { provider: `${CONNECTION}::new` }),
    );
    const { imported } = await run(state, state);

    expect(names(imported)).toEqual([
      ...["technicia-test", "cloud", "vps-server", "docker", "dns", "probe"],
      ...["host-key", "host-connection", "journal"],
    ]);
  });

  it("forgets nothing while OVH knows of the same installation only", async () => {
    const asked: string[] = [];
    const forgetting = forgetReinstalled("test", ({ args }) => {
      asked.push(args[1] ?? "");
      return Promise.resolve(JSON.stringify(stateOf(1)));
    });

    await expect(forgetting).rejects.toThrow(
      /OVH has not reinstalled the server: it has the installation that the state knows \(vps-1\/1\).*run npm run resume -- test --reinstalled --host-key SHA256:…$/,
    );
    expect(asked).not.toContain("import");
  });

  describe("when OVH has forgotten the reinstallation", () => {
    const OLD = `SHA256:${"a".repeat(43)}`;
    const NEW = `SHA256:${"b".repeat(43)}`;

    function stateWithKey() {
      const state = stateOf(1);
      Object.assign(state.deployment.resources[3]!, {
        inputs: { serverId: "vps-1/1", address: "203.0.113.10", port: 22 },
        outputs: { fingerprint: OLD },
      });
      return state;
    }

    const answering = (fingerprint: string) => (endpoint: object) => {
      expect(endpoint).toEqual({ address: "203.0.113.10", port: 22 });
      return Promise.resolve(fingerprint);
    };

    it("believes a person who has read the new host key on the server's console", async () => {
      const options = { hostKey: NEW, askHostKey: answering(NEW) };
      const { forgotten } = await run(stateWithKey(), stateWithKey(), options);

      expect(forgotten).toEqual(["host-key", "host-connection", "sysctl", "data", "gateway"]);
    });

    it.each([
      [
        "the server answers with another key",
        NEW,
        `SHA256:${"c".repeat(43)}`,
        "expected 203.0.113.10:22 to answer with SHA256:b",
      ],
      ["the state knows the key already", OLD, OLD, "got SHA256:a.*, which the state knows already"],
    ])("removes nothing when %s", async (_what, hostKey, answer, message) => {
      const options = { hostKey, askHostKey: answering(answer) };

      await expect(run(stateWithKey(), stateWithKey(), options)).rejects.toThrow(new RegExp(message));
    });
  });

  it("fails where there is no server yet", async () => {
    await expect(run({ deployment: {} }, {})).rejects.toThrow(
      "there is no server in the state; run pulumi up",
    );
  });
});

/** Two servers, the first one with the data; each under its installation. */
function stateOfTwo(first: number, second: number) {
  const hostOf = (prefix: string, key: string) => [
    resource("technicia:host:HostKey", `${prefix}host-key`, {
      inputs: { serverId: `${key}/1`, address: `203.0.113.${key === "vps-1" ? 10 : 11}`, port: 22 },
      outputs: { fingerprint: `SHA256:${key}` },
    }),
    resource("pulumi:providers:technicia", `${prefix}host-connection`, {
      ...{ id: key, inputs: { serverId: `${key}/1` } },
    }),
    resource("technicia:host:File", `${prefix}sysctl`, {
      provider: `${urn("pulumi:providers:technicia", `${prefix}host-connection`)}::${key}`,
    }),
  ];
  const docker = urn("pulumi:providers:docker", "host-docker");
  return {
    version: 3,
    deployment: {
      manifest: { time: "now" },
      resources: [
        resource("technicia:ovh:Vps", "vps-server", { outputs: { serverId: `vps-1/${first}` } }),
        resource("technicia:ovh:Vps", "gra-2/vps-server", { outputs: { serverId: `vps-2/${second}` } }),
        ...hostOf("", "vps-1"),
        ...hostOf("gra-2/", "vps-2"),
        resource("pulumi:providers:docker", "host-docker", { id: "d" }),
        resource("docker:index/volume:Volume", "data", { provider: `${docker}::d` }),
        resource("docker:index/service:Service", "gateway", { provider: `${docker}::d` }),
      ],
    },
  };
}

describe("with several servers", () => {
  it("what the Swarm knows stays, and what was on the lost disk goes", async () => {
    const { forgotten, asked } = await run(stateOfTwo(1, 1), stateOfTwo(2, 1));

    expect(forgotten).toEqual(["host-key", "host-connection", "sysctl", "data"]);
    expect(asked[1]).toBe(
      `refresh --yes --skip-preview --stack test --target ${SERVER} --target ${urn("technicia:ovh:Vps", "gra-2/vps-server")}`,
    );
  });

  it("nothing of the others goes with one that was reinstalled", async () => {
    const { forgotten } = await run(stateOfTwo(1, 1), stateOfTwo(1, 2));

    expect(forgotten).toEqual(["gra-2/host-key", "gra-2/host-connection", "gra-2/sysctl"]);
  });

  it("a person's new key is the one of the server that answers with it, whoever else is silent", async () => {
    const askHostKey = ({ address }: { readonly address: string }) =>
      address.endsWith("11") ? Promise.resolve("SHA256:new") : Promise.reject(new UserError("no answer"));
    const { forgotten } = await run(stateOfTwo(1, 1), stateOfTwo(1, 1), {
      hostKey: "SHA256:new",
      askHostKey,
    });

    expect(forgotten).toEqual(["gra-2/host-key", "gra-2/host-connection", "gra-2/sysctl"]);
  });

  it("one that is down for good leaves its place at OVH in the state, and a lost one leaves it as well", async () => {
    const imports: (readonly (string | undefined)[] | undefined)[] = [];
    const pulumi: Pulumi = ({ args, input = "" }) => {
      if (args[1] === "import") imports.push(names(JSON.parse(input) as ReturnType<typeof stateOf>));
      return Promise.resolve(JSON.stringify(stateOfTwo(1, 1)));
    };
    await forgetHost("test", pulumi, { server: "gra-2" });
    await forgetServer("test", pulumi, { isGone: true, server: "gra-2" });

    const first = ["vps-server", "host-key", "host-connection", "sysctl", "host-docker", "data", "gateway"];
    expect(imports[0]?.toSorted()).toEqual(["gra-2/vps-server", ...first].toSorted());
    expect(imports[1]?.toSorted()).toEqual(first.toSorted());
  });
});

describe("forgetServer", () => {
  it.each([
    [true, ["technicia-test", "cloud", "docker", "dns", "probe"]],
    [false, ["technicia-test", "cloud", "docker", "dns", "probe", "edge"]],
  ])(
    "removes the server with what is on it; with its address' own where it is gone (%s)",
    async (isGone, left) => {
      const state = stateOf(1);
      state.deployment.resources.push(resource("technicia:ovh:EdgeFirewall", "edge"));
      let imported: ReturnType<typeof stateOf> | undefined;
      await forgetServer(
        "test",
        ({ args, input = "" }) => {
          if (args[1] === "import") imported = JSON.parse(input) as ReturnType<typeof stateOf>;
          return Promise.resolve(JSON.stringify(state));
        },
        { isGone, server: "" },
      );

      expect(names(imported)).toEqual(left);
      expect(imported?.deployment.resources.find((one) => one.urn === dns.urn)).toMatchObject({
        dependencies: [],
      });
    },
  );
});
