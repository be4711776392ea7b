/** The handovers of several gateways, by the programs themselves; Docker, nftables and systemd are doubles. */
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { scriptParts } from "../../common/script.ts";
import { renderProgram } from "../../components/gateway-handover.ts";

const ARGS = { config: { uploadSeconds: 1, answerSeconds: 1 }, convergenceSeconds: 300 };
const SECOND = scriptParts(new URL("../../components/scripts/gateway-second.sh", import.meta.url), [
  "observeStarted",
  "start",
  "forget",
  "observeEnded",
  "end",
]);
const CONVERGED = scriptParts(new URL("../../components/scripts/service-converged.sh", import.meta.url), [
  "look",
  "observe",
  "apply",
]);
const { observeEndedHere } = scriptParts(
  new URL("../../components/scripts/gateway-handover-states.sh", import.meta.url),
  ["observeBegun", "begin", "forget", "observeEnded", "end", "observeEndedHere"],
);

/**
 * Programs that note what they are asked. Files of the folder say what runs: `gateway` and `second` hold the id of a healthy container, `table`
 * where visitors are led, `service` and `service-second` what Docker's API has.
 */
const DOUBLES: Readonly<Record<string, string>> = {
  docker: `echo "docker $*" >>"$FOLDER/calls"
case $* in
  "service inspect technicia-gateway-second") [ ! -e "$FOLDER/is-worker" ] && cat "$FOLDER/service-second" ;;
  "service rm technicia-gateway-second") rm "$FOLDER/service-second" ;;
  "service ls "*) cat "$FOLDER/replicas" ;;
  "service "*) exit 1 ;;
  "ps "*"name=technicia-gateway-second"*) cat "$FOLDER/second" 2>/dev/null || true ;;
  "ps "*"name=technicia-gateway"*) cat "$FOLDER/gateway" 2>/dev/null || true ;;
  "inspect "*) echo 4711 ;;
esac`,
  curl: `case $* in
  *http://docker/services/technicia-gateway*) cat "$FOLDER/service" ;;
  *http://docker/services/create*) cat >"$FOLDER/service-second" ;;
  *http://docker/tasks*) cat "$FOLDER/tasks" ;;
esac`,
  nft: `case $* in
  "list table ip technicia_gateway") [ -e "$FOLDER/table" ] ;;
  "--file -") sed --quiet 's/.*dnat to //p' >"$FOLDER/table"; echo "led to $(cat "$FOLDER/table")" >>"$FOLDER/calls" ;;
  *"delete table ip technicia_gateway") rm -f "$FOLDER/table"; echo "led back" >>"$FOLDER/calls" ;;
esac`,
  nsenter: "echo '192.0.2.1 via 172.18.0.1 dev eth1 src 172.18.0.7 uid 0'",
  logger: "",
  "systemd-run": 'echo "systemd-run $*" >>"$FOLDER/calls"',
  systemctl: 'echo "systemctl $*" >>"$FOLDER/calls"',
};

let folder: string;
const at = (name: string) => join(folder, name);
const read = (name: string) => readFile(at(name), "utf8");

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-handover-"));
  for (const [name, text] of Object.entries(DOUBLES)) await write(name, `#!/bin/bash\n${text}\n`);
  await write(
    "program",
    renderProgram({ ...ARGS, gateways: 3 }).replace(/START_SECONDS=\d+/, "START_SECONDS=2"),
  );
  await writeFile(at("calls"), "");
});
afterEach(() => rm(folder, { recursive: true }));

async function write(name: string, text: string): Promise<void> {
  await writeFile(at(name), text);
  await chmod(at(name), 0o755);
}

async function exec(command: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const environment = { FOLDER: folder, PATH: `${folder}:/usr/bin:/bin`, ...variables };
  const { code, stdout, stderr } = await tryRun(command, { environment });
  return { code, said: stdout.trim(), complained: stderr.trim() };
}

const handover = (step: string) => exec(["bash", at("program"), step]);
const state = (text: string) =>
  exec(["bash", "--norc", "-euo", "pipefail", "-c", text], {
    RECORD: at("records/second"),
    REVISION: "0123456789abcdef",
  });
const calls = async () => (await read("calls")).trim().split("\n");

describe("a service of every server", () => {
  const task = (image: string, state = "running") => ({
    Spec: { ContainerSpec: { Image: image }, Resources: {} },
    Status: { State: state },
  });

  async function runs(
    tasks: readonly object[],
    { update, replicas = "3/3" }: { readonly update?: object; readonly replicas?: string } = {},
  ): Promise<void> {
    const service = {
      Spec: { TaskTemplate: { ContainerSpec: { Image: "nginx:2" }, Resources: {} } },
      ...(update && { UpdateStatus: update }),
    };
    await writeFile(at("service"), JSON.stringify(service));
    await writeFile(at("tasks"), JSON.stringify(tasks));
    await writeFile(at("replicas"), `technicia-gateway-second 3/3\ntechnicia-gateway ${replicas}\n`);
  }

  const converged = (part: "observe" | "apply", limit = "0") =>
    exec(["bash", "--norc", "-euo", "pipefail", "-c", `${CONVERGED.look}\n${CONVERGED[part]}`], {
      ...{ SERVICE: "technicia-gateway", REVISION: "0123456789abcdef", LIMIT_SECONDS: limit },
    });
  const seen = async () => (await converged("observe")).said;
  const three = ["nginx:2", "nginx:2", "nginx:2"].map((image) => task(image));

  it("has converged once each server runs the task that was asked for", async () => {
    await runs(three);
    expect(await seen()).toBe("every server runs it");
    await runs(three, { update: { State: "completed" } });
    expect(await converged("apply")).toMatchObject({ code: 0 });

    await runs(three.slice(1));
    expect(await seen()).toBe("2 of 3 servers run it");
    await runs([...three.slice(1), task("nginx:2", "starting")]);
    expect(await seen()).toBe("2 of 3 servers run it");
    // Docker has not begun yet, so nothing says that there is an update.
    await runs([...three.slice(1), task("nginx:1")]);
    expect(await seen()).toBe("2 of 3 servers run it");
    await runs(three, { update: { State: "updating", Message: "update in progress" } });
    expect(await seen()).toBe("3 of 3 servers run it");
    await runs([], { replicas: "0/0" });
    expect(await seen()).toBe("0 of 0 servers run it");
  });

  it("fails at once where Docker takes the update back, and in time where a server does not follow", async () => {
    await runs(three, { update: { State: "rollback_completed", Message: "rollback completed" } });
    const back = await converged("apply", "600");
    expect(back.code).toBe(1);
    expect(back.complained).toContain(
      "expected the update of technicia-gateway to succeed on every server, got rollback_completed: rollback completed; look at docker service ps",
    );

    await runs(three.slice(1));
    const late = await converged("apply");
    expect(late.code).toBe(1);
    expect(late.complained).toContain(
      "expected technicia-gateway to run on every server within 0 s, got 2 of 3",
    );
  });
});

describe("a handover on one of several gateways", () => {
  beforeEach(async () => {
    // It manages no Swarm, so it may not ask for services.
    await writeFile(at("is-worker"), "");
    await writeFile(at("gateway"), "first\n");
    await writeFile(at("second"), "other\n");
  });

  it("leads its own visitors to the second gateway that is there, and starts and removes none", async () => {
    expect(await handover("begin")).toMatchObject({ code: 0, complained: "" });

    expect((await read("table")).trim()).toBe("172.18.0.7");
    expect((await state(observeEndedHere)).said).toBe("a second gateway answers");
    const made = await calls();
    expect(made.filter((call) => call.startsWith("docker service"))).toEqual([]);
    expect(made.findLast((call) => call.startsWith("systemd-run"))).toContain("expire");
  });

  it("leads them back once its gateway answers, and leaves the second one to the server that manages", async () => {
    await handover("begin");

    expect(await handover("end")).toMatchObject({ code: 0, complained: "" });
    expect((await state(observeEndedHere)).said).toBe("the gateway answers alone");
    expect((await calls()).join("\n")).not.toContain("service rm");
  });

  it("leaves them with the second one while its gateway does not answer", async () => {
    await handover("begin");
    await rm(at("gateway"));

    const { code, complained } = await handover("end");
    expect(code).toBe(1);
    expect(complained).toContain("expected the gateway to answer within 2 s, got no healthy container");
    expect((await state(observeEndedHere)).said).toBe("a second gateway answers");
  });

  it("is none where there is no second gateway, which it does not make the update fail for", async () => {
    await rm(at("second"));
    const text = (await read("program")).replace("within 15", "within 1");
    await write("program", text);

    const { code, complained } = await handover("begin");
    expect(code).toBe(0);
    expect(complained).toContain("got none; visitors are refused while the gateway restarts");
    expect((await state(observeEndedHere)).said).toBe("the gateway answers alone");
  });

  it("ends by itself later than those of all other servers may take", () => {
    const seconds = (gateways?: number) =>
      Number(/EXPIRE_SECONDS=(\d+)/.exec(renderProgram({ ...ARGS, ...(gateways && { gateways }) }))?.[1]);

    expect(seconds()).toBe(421);
    expect(seconds(3)).toBe(421 + 2 * 2 * 121);
  });

  it("is the program of an only gateway but for what a manager does", () => {
    const alone = renderProgram(ARGS).split("\n");
    const several = renderProgram({ ...ARGS, gateways: 2 }).split("\n");

    expect(alone.filter((line) => !several.includes(line))).toEqual([
      expect.stringContaining("EXPIRE_SECONDS=421"),
    ]);
    expect(several.filter((line) => !alone.includes(line))).toContain("remove_second() { :; }");
  });
});

describe("the second gateways", () => {
  const service = (mode: object) =>
    JSON.stringify({
      ID: "abc",
      Spec: {
        Name: "technicia-gateway",
        Labels: { some: "label" },
        Mode: mode,
        TaskTemplate: { Placement: { Constraints: ["node.labels.technicia.gateway==1"] } },
        UpdateConfig: { Order: "stop-first" },
        RollbackConfig: {},
        EndpointSpec: { Mode: "dnsrr", Ports: [{ PublishedPort: 80, TargetPort: 80 }] },
      },
    });

  it("are one service like the gateway's, with ports that Docker chooses", async () => {
    await writeFile(at("service"), service({ Global: {} }));

    expect(await state(SECOND.start)).toMatchObject({ code: 0, complained: "" });
    expect(JSON.parse(await read("service-second"))).toEqual({
      Name: "technicia-gateway-second",
      Labels: {},
      Mode: { Global: {} },
      TaskTemplate: { Placement: { Constraints: ["node.labels.technicia.gateway==1"] } },
      EndpointSpec: {
        Mode: "dnsrr",
        Ports: [
          { Protocol: "tcp", PublishMode: "host", TargetPort: 80 },
          { Protocol: "tcp", PublishMode: "host", TargetPort: 443 },
        ],
      },
    });
    expect((await state(SECOND.observeStarted)).said).toBe("0123456789abcdef");
    expect((await state(SECOND.observeEnded)).said).toBe("second gateways run");
  });

  it("that an update has left go on, because visitors may be with them", async () => {
    await writeFile(at("service"), service({ Global: {} }));
    await writeFile(at("service-second"), "of before");

    expect(await state(SECOND.start)).toMatchObject({ code: 0 });
    expect(await read("service-second")).toBe("of before");
  });

  it.each([
    ["there is no gateway yet", undefined],
    ["the gateway is still that of an only server", service({ Replicated: { Replicas: 1 } })],
  ])("are not started where %s, and the update goes on", async (_what, answer) => {
    if (answer !== undefined) await writeFile(at("service"), answer);

    expect(await state(SECOND.start)).toMatchObject({ code: 0 });
    expect((await state(SECOND.observeEnded)).said).toBe("the gateways run alone");
    expect((await state(SECOND.observeStarted)).said).toBe("0123456789abcdef");
  });

  it("go when the last server has led its visitors back", async () => {
    await writeFile(at("service-second"), "{}");

    expect(await state(SECOND.end)).toMatchObject({ code: 0 });
    expect((await state(SECOND.observeEnded)).said).toBe("the gateways run alone");
  });
});
