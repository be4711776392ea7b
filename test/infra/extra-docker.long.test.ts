import { readFile } from "node:fs/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { describeInApi, type DeclaredService } from "../../components/service-spec.ts";
import { startHost, type TestHost } from "../support/host.ts";

const INSTALL = `
echo nameserver 127.0.0.11 > /etc/resolv.conf
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends curl docker.io iptables jq
docker swarm init --advertise-addr "$(hostname --all-ip-addresses | cut -d ' ' -f 1)" >/dev/null
tar --create --dereference --absolute-names /bin/sleep /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 | docker import - tiny:1 >/dev/null
docker volume create technicia-data >/dev/null
docker network create --driver overlay --attachable technicia-edge
`;

let host: TestHost;
let spec: string;
let program: string;
let specs: (step: "observe" | "apply") => Promise<string>;

/** As the program declares a service: every kind of field that it uses. */
function declared(ids: { readonly network: string; readonly secret: string }): DeclaredService {
  const update = {
    ...{ parallelism: 1, failureAction: "rollback", monitor: "2s", maxFailureRatio: "0.0", delay: "0s" },
    order: "stop-first",
  };
  return {
    name: "technicia-sample",
    taskSpec: {
      containerSpec: {
        image: "tiny:1",
        commands: ["sleep", "9999"],
        env: { A: "1" },
        init: true,
        readOnly: true,
        capDrops: ["ALL"],
        capAdds: ["CAP_CHOWN"],
        stopGracePeriod: "1s",
        mounts: [
          { type: "volume", source: "technicia-data", target: "/data", readOnly: false },
          { type: "tmpfs", target: "/tmp", readOnly: false },
        ],
        secrets: [
          {
            ...{ secretId: ids.secret, secretName: "technicia-sample-key", fileName: "key" },
            ...{ fileUid: "0", fileGid: "0", fileMode: 0o400 },
          },
        ],
      },
      networksAdvanceds: [{ id: ids.network, aliases: ["sample", "technicia-sample"] }],
      resources: { limits: { memoryBytes: 64 * 1024 * 1024, nanoCpus: 500_000_000 } },
      restartPolicy: { condition: "any", delay: "2s", maxAttempts: 0, window: "0s" },
      logDriver: { name: "json-file", options: { "max-size": "10m", "max-file": "5" } },
    },
    mode: { replicated: { replicas: 1 } },
    endpointSpec: {
      mode: "dnsrr",
      ports: [{ targetPort: 8443, publishedPort: 8443, protocol: "tcp", publishMode: "host" }],
    },
    updateConfig: update,
    rollbackConfig: { ...update, failureAction: "pause" },
  };
}

beforeAll(async () => {
  host = await startHost();
  await host.exec(INSTALL);
  const network = (await host.exec("docker network inspect --format '{{.Id}}' technicia-edge")).trim();
  const secret = (await host.exec("echo x | docker secret create technicia-sample-key -")).trim();
  spec = JSON.stringify(describeInApi(declared({ network, secret })));
  await host.exec(
    `docker service create --quiet --detach --name placeholder tiny:1 sleep 1 >/dev/null; docker service rm placeholder >/dev/null
curl --silent --show-error --fail-with-body --unix-socket /var/run/docker.sock --header 'content-type: application/json' http://docker/services/create --data '${spec}'
until [ -n "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-sample)" ]; do sleep 0.2; done`,
  );
  program = await readFile(new URL("../../components/scripts/extra-specs.sh", import.meta.url), "utf8");
  specs = (step) => host.exec(`SPECS='[${spec}]'\n${program}\n${step}`);
});
afterAll(() => host.stop());

const UPDATE = "docker service update --quiet --detach=false";

const TAMPERINGS: readonly (readonly [what: string, command: string, found: string])[] = [
  ["a host", `${UPDATE} --host-add qdrant:203.0.113.9`, "ContainerSpec.Hosts has 203.0.113.9 qdrant"],
  ["a resolver", `${UPDATE} --dns-add 203.0.113.9`, "ContainerSpec.DNSConfig.Nameservers has 203.0.113.9"],
  [
    "a search domain",
    `${UPDATE} --dns-search-add evil.example`,
    "ContainerSpec.DNSConfig.Search has evil.example",
  ],
  ["a label", `${UPDATE} --label-add evil=1`, "Labels.evil has 1"],
  ["a container's label", `${UPDATE} --container-label-add evil=1`, "ContainerSpec.Labels.evil has 1"],
  [
    "a mount",
    `${UPDATE} --mount-add type=bind,source=/etc,target=/host`,
    "ContainerSpec.Mounts[/host].Source has /etc",
  ],
  ["a user", `${UPDATE} --user 1000`, "ContainerSpec.User has 1000"],
  ["a working folder", `${UPDATE} --workdir /data`, "ContainerSpec.Dir has /data"],
  ["a host name", `${UPDATE} --hostname evil`, "ContainerSpec.Hostname has evil"],
  [
    "a limit of open files",
    `${UPDATE} --ulimit-add nofile=512:1024`,
    "ContainerSpec.Ulimits[nofile].Hard has 1024",
  ],
  [
    "a kernel setting",
    `${UPDATE} --sysctl-add net.core.somaxconn=9`,
    "ContainerSpec.Sysctls.net.core.somaxconn has 9",
  ],
  ["a capability", `${UPDATE} --cap-add NET_ADMIN`, "ContainerSpec.CapabilityAdd has CAP_NET_ADMIN"],
  [
    "a placement",
    `${UPDATE} --constraint-add node.role==manager`,
    "Placement.Constraints has node.role==manager",
  ],
  ["a reservation", `${UPDATE} --reserve-memory 8M`, "Resources.Reservations.MemoryBytes has 8388608"],
  ["a limit of processes", `${UPDATE} --limit-pids 50`, "Resources.Limits.Pids has 50"],
  [
    "a limit of processors",
    `${UPDATE} --limit-cpu 1`,
    "Resources.Limits.NanoCPUs is 1000000000 instead of 500000000",
  ],
  ["a stop signal", `${UPDATE} --stop-signal SIGKILL`, "ContainerSpec.StopSignal has SIGKILL"],
  ["another restart", `${UPDATE} --restart-condition none`, "RestartPolicy.Condition is none instead of any"],
  ["another log", `${UPDATE} --log-driver none`, "LogDriver.Name is none instead of json-file"],
  [
    "another update",
    // Never ends: the new task waits for the port that the old one has.
    "docker service update --quiet --detach --update-order start-first",
    "UpdateConfig.Order is start-first instead of stop-first",
  ],
  [
    "another way back",
    `${UPDATE} --rollback-monitor 9s`,
    "RollbackConfig.Monitor is 9000000000 instead of 2000000000",
  ],
  ["a terminal", `${UPDATE} --tty`, "ContainerSpec.TTY has true"],
  ["a health check", `${UPDATE} --no-healthcheck`, 'ContainerSpec.Healthcheck.Test has ["NONE"]'],
  ["other arguments", `${UPDATE} --args '1 2'`, 'ContainerSpec.Args has ["1","2"]'],
  [
    "a secret at another place",
    `echo x | docker secret create other - ; ${UPDATE} --secret-add source=other,target=evil`,
    "ContainerSpec.Secrets[evil].SecretName has other",
  ],
];

describe("services of the Swarm", () => {
  it("hold nothing beside what is declared right after their creation", async () => {
    expect((await specs("observe")).trim()).toBe(NOTHING_EXTRA);
  });

  it.each(TAMPERINGS)(
    "are reported with %s more or another one, and set back",
    async (_what, command, found) => {
      await host.exec(`${command} technicia-sample`);
      const seen = await specs("observe");
      expect(seen).toContain(`service technicia-sample: `);
      expect(seen).toContain(found);

      await specs("apply");
      expect((await specs("observe")).trim()).toBe(NOTHING_EXTRA);
    },
  );

  it("keep what the plugin compares itself out of the report, and set it back all the same", async () => {
    await host.exec(`${UPDATE} --env-add EVIL=1 technicia-sample`);

    expect((await specs("observe")).trim()).toBe(NOTHING_EXTRA);
    await host.exec(`${UPDATE} --host-add evil:203.0.113.9 technicia-sample`);
    await specs("apply");
    expect(
      await host.exec("docker service inspect --format '{{json .Spec}}' technicia-sample"),
    ).not.toContain("EVIL");
  });
});

describe("the Swarm", () => {
  it.each([
    [
      "a secret's label",
      'docker swarm update --label-add x=y 2>/dev/null || true; id=$(docker secret inspect --format \'{{.ID}}\' technicia-sample-key); version=$(docker secret inspect --format \'{{.Version.Index}}\' technicia-sample-key); curl --silent --fail-with-body --unix-socket /var/run/docker.sock -H \'content-type: application/json\' -d \'{"Name":"technicia-sample-key","Labels":{"evil":"1"}}\' "http://docker/secrets/$id/update?version=$version"',
      "secret technicia-sample-key: Labels.evil has 1",
    ],
    ["an external authority", "docker swarm update --cert-expiry 5000h", "swarm: CAConfig.NodeCertExpiry"],
    ["a lock", "docker swarm update --autolock=true", "swarm: EncryptionConfig.AutoLockManagers has true"],
    [
      "another history of tasks",
      "docker swarm update --task-history-limit 50",
      "swarm: Orchestration.TaskHistoryRetentionLimit is 50 instead of 5",
    ],
  ])("is reported with %s, and set back", async (_what, command, found) => {
    await host.exec(command);
    expect(await specs("observe")).toContain(found);

    await specs("apply");
    expect((await specs("observe")).trim()).toBe(NOTHING_EXTRA);
  });
});

describe("what an engine fills in by itself", () => {
  it("is known after a set back did not take it away, with its value and nothing else", async () => {
    // This engine adds a kind of address where none is declared.
    const without = { ...(JSON.parse(spec) as object), EndpointSpec: undefined };
    const run = (step: string) =>
      host.exec(`SPECS='[${JSON.stringify(without)}]'\n${program}\n${step}`).then((text) => text.trim());
    await run("apply");

    expect(await run("observe")).toBe(NOTHING_EXTRA);
    await host.exec(`${UPDATE} --label-add evil=1 technicia-sample`);
    expect(await run("observe")).toBe("service technicia-sample: Labels.evil has 1");
    await specs("apply");
    expect((await specs("observe")).trim()).toBe(NOTHING_EXTRA);
  });
});
