/* eslint-disable
  @typescript-eslint/no-unsafe-argument,
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-call,
  @typescript-eslint/no-unsafe-member-access,
  @typescript-eslint/no-unsafe-return
  -- answers have every shape, and their shape is what is asserted here */
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualClock } from "../../../../rehearsal/fake-clouds/clock.ts";
import { NoMachine } from "../../../../rehearsal/fake-clouds/machine/machine.ts";
import { type FakeOvh, type OvhOptions, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import type { VpsService } from "../../../../rehearsal/fake-clouds/ovh/state.ts";
import { ovhClient } from "./client.ts";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDThqw2s6x3CJOVu24zxYmT3KUKZdhdt+HkHRUvUKp90 someone";

let ovh: FakeOvh;
let call: ReturnType<typeof ovhClient>;
let server: VpsService;
let path: string;

async function start(options: OvhOptions = {}): Promise<void> {
  ovh = await startOvh(options);
  call = ovhClient(ovh.url);
  server = ovh.addServer("vps-2027-model2", { serviceName: "vps-1a2b3c4d.vps.ovh.net" });
  path = `/vps/${server.serviceName}`;
}

beforeEach(() => start());
afterEach(() => ovh.close());

describe("a server", () => {
  it("has all properties of its plan and its order", async () => {
    const { body } = await call("GET", path);

    expect(body).toMatchObject({
      name: "vps-1a2b3c4d.vps.ovh.net",
      displayName: "vps-1a2b3c4d.vps.ovh.net",
      memoryLimit: 8192,
      vcore: 4,
      netbootMode: "local",
      state: "running",
      zone: "Region OpenStack: os-gra7",
      lockStatus: { locked: false, reason: null },
      model: { name: "vps-2027-model2", disk: 75, memory: 8192, vcore: 4 },
      iam: { urn: "urn:v1:eu:resource:vps:vps-1a2b3c4d.vps.ovh.net" },
    });
    expect((await call("GET", `${path}/datacenter`)).body).toEqual({
      name: "os-gra7",
      longName: "Gravelines",
      country: "fr",
    });
  });

  it("lists IPv6 first, and returns the gateway of each address", async () => {
    const [v6, v4] = (await call("GET", `${path}/ips`)).body;

    expect((await call("GET", `${path}/ips/${v4}`)).body).toMatchObject({
      version: "v4",
      gateway: "203.0.113.254",
    });
    expect((await call("GET", `${path}/ips/${encodeURIComponent(v6)}`)).body).toMatchObject({
      version: "v6",
      gateway: "2001:db8:113::1",
    });
  });

  it("takes a new display name and refuses to have its state written", async () => {
    expect((await call("PUT", path, { displayName: "technicia-test" })).body).toBeNull();
    expect((await call("GET", path)).body.displayName).toBe("technicia-test");
    expect((await call("PUT", path, { state: "running" })).status).toBe(400);
  });

  it("does not exist under another name", async () => {
    const { status, body } = await call("GET", "/vps/vps-0.vps.ovh.net");

    expect([status, body]).toEqual([
      404,
      { class: "Client::NotFound", message: "This service does not exist" },
    ]);
  });

  it("answers 460 once expired, save for the facts of its contract", async () => {
    server.expired = true;

    expect((await call("GET", path)).status).toBe(460);
    expect((await call("GET", `${path}/ips`)).status).toBe(460);
    expect((await call("POST", `${path}/reboot`)).status).toBe(460);
    expect((await call("GET", `${path}/serviceInfos`)).body.status).toBe("expired");
  });

  it("is locked and stopped while suspended", async () => {
    server.suspended = true;

    expect((await call("GET", path)).body).toMatchObject({ state: "stopped", lockStatus: { locked: true } });
    expect((await call("POST", `${path}/reboot`)).status).toBe(400);
  });

  it("enters rescue mode by a task", async () => {
    expect((await call("PUT", path, { netbootMode: "rescue" })).status).toBe(200);
    await ovh.settled();

    expect((await call("GET", path)).body).toMatchObject({ netbootMode: "rescue", state: "rescued" });
  });
});

describe("the contract of a server", () => {
  it("can be set to end at expiry and back", async () => {
    const renew = { automatic: false, deleteAtExpiration: true, forced: false, period: null };
    expect((await call("PUT", `${path}/serviceInfos`, { renew })).status).toBe(200);

    expect((await call("GET", `${path}/serviceInfos`)).body).toMatchObject({ renew, status: "ok" });
  });

  it("fails when the renewal is written in part", async () => {
    const { status, body } = await call("PUT", `${path}/serviceInfos`, {
      renew: { deleteAtExpiration: true },
    });

    expect([status, body.message]).toEqual([400, "[renew] Missing required parameter"]);
    expect(server.renew.deleteAtExpiration).toBe(false);
  });

  it("ends only with the token that was mailed", async () => {
    expect((await call("POST", `${path}/terminate`)).status).toBe(200);
    expect((await call("POST", `${path}/confirmTermination`, { token: "guess" })).status).toBe(400);
    const mails = (await call("GET", "/me/notification/email/history")).body;
    const mail = (await call("GET", `/me/notification/email/history/${mails.at(-1)}`)).body.body as string;
    const token = /confirmTerminate\?id=\w+&token=(\w+)/.exec(mail)?.[1];

    expect((await call("POST", `${path}/confirmTermination`, { token })).status).toBe(200);
    expect((await call("GET", "/vps")).body).toEqual([]);
    expect(ovh.calls.list("ovh").find((made) => made.path.endsWith("confirmTermination"))?.body).toEqual({
      token: "[redacted]",
    });
  });
});

describe("a reinstallation", () => {
  const imageNamed = async (name: string): Promise<string> => {
    for (const id of (await call("GET", `${path}/images/available`)).body) {
      if ((await call("GET", `${path}/images/available/${id}`)).body.name === name) return String(id);
    }
    throw new Error(`no image ${name}`);
  };

  it("passes through todo and doing, while the server still says running at first", async () => {
    const clock = new ManualClock();
    const machine = new NoMachine();
    await ovh.close();
    await start({ clock, machine, delays: { taskMs: 1000, reinstallMs: 5000 } });
    const imageId = await imageNamed("Debian 13");
    const { body: task } = await call("POST", `${path}/rebuild`, { imageId, publicSshKey: KEY });
    const seen = async () => [
      (await call("GET", `${path}/tasks/${task.id}`)).body.state,
      (await call("GET", path)).body.state,
    ];

    expect(task).toMatchObject({ type: "reinstallVm", state: "todo", progress: 0 });
    expect(await seen()).toEqual(["todo", "running"]);
    await clock.advance(1000);
    expect(await seen()).toEqual(["doing", "installing"]);
    await clock.advance(4999);
    expect(await seen()).toEqual(["doing", "installing"]);
    expect(machine.actions).toEqual([]);
    await clock.advance(1);
    expect(await seen()).toEqual(["done", "running"]);
    expect(machine.actions).toMatchObject([
      { kind: "rebuild", spec: { image: "Debian 13", publicKey: KEY } },
    ]);
    expect((await call("GET", `${path}/images/current`)).body).toEqual({ id: imageId, name: "Debian 13" });
  });

  it("fails while another task runs, be it another reinstallation or a reboot", async () => {
    await ovh.close();
    await start({ clock: new ManualClock() });
    const imageId = await imageNamed("Debian 12");
    await call("POST", `${path}/reboot`);
    const { status, body } = await call("POST", `${path}/rebuild`, { imageId });

    expect([status, body.message]).toEqual([
      400,
      "Action not available while there are running tasks on the VPS",
    ]);
    expect((await call("GET", `${path}/tasks?state=todo`)).body).toHaveLength(1);
  });

  it("fails when the image is another server's", async () => {
    const imageId = await imageNamed("Debian 12");
    const other = ovh.addServer();

    expect((await call("POST", `/vps/${other.serviceName}/rebuild`, { imageId })).status).toBe(404);
  });

  it("fails when the key is none", async () => {
    const imageId = await imageNamed("Debian 12");
    const { status, body } = await call("POST", `${path}/rebuild`, { imageId, publicSshKey: "my key" });

    expect([status, body.message]).toEqual([400, "Invalid public SSH key"]);
  });

  it("ends as a failed task when the machine does not come up", async () => {
    const machine = new NoMachine();
    machine.rebuild = () => Promise.reject(new Error("disk on fire"));
    await ovh.close();
    await start({ machine });
    const { body: task } = await call("POST", `${path}/rebuild`, { imageId: await imageNamed("Debian 12") });
    await ovh.settled();

    expect((await call("GET", `${path}/tasks/${task.id}`)).body.state).toBe("error");
    expect(ovh.state.failures).toEqual([{ kind: "vps:reinstall", message: "disk on fire" }]);
  });
});

describe("a reboot", () => {
  it("restarts the machine once, and is over when that is", async () => {
    const machine = new NoMachine();
    await ovh.close();
    await start({ machine });
    const { body: task } = await call("POST", `${path}/reboot`);
    await ovh.settled();

    expect((await call("GET", `${path}/tasks/${task.id}`)).body).toMatchObject({
      type: "rebootVm",
      state: "done",
    });
    expect(machine.actions.map(({ kind }) => kind)).toEqual(["reboot"]);
  });
});
