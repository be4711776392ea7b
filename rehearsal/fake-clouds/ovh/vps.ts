import { createHash, randomBytes } from "node:crypto";

import type { JobHandler } from "../jobs.ts";
import type { Params, Routes } from "../api/routes.ts";
import { anything, boolean, object, oneOf, optional, readBody, required, string } from "./body.ts";
import { findModel } from "./catalogue.ts";
import {
  addressesOf,
  isBusy,
  machineSpec,
  newId,
  now,
  type OvhContext,
  requireAnyServer,
  requireServer,
} from "./context.ts";
import { badRequest, notFound } from "./errors.ts";
import { reverseOf } from "./reverse.ts";
import type { Task, VpsService } from "./state.ts";
import { findTask, finishTask, startTask } from "./tasks.ts";

const PUBLIC_KEY = /^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*( .*)?$/;

/** Servers: reading, renaming, reinstalling, restarting, giving back. */
export function vpsRoutes(context: OvhContext): Routes {
  return {
    ...serverRoutes(context),
    ...taskRoutes(context),
    ...systemRoutes(context),
    ...terminationRoutes(context),
  };
}

function serverRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "GET /vps": () => state.servers.map((server) => server.serviceName),
    "GET /vps/{serviceName}": (_, params) => renderServer(context, serverOf(context, params)),
    "PUT /vps/{serviceName}": (request, params) => {
      const server = serverOf(context, params);
      const body = readBody(request, {
        displayName: optional(string),
        keymap: optional(oneOf("vps.VpsKeymapEnum", ["fr", "us"])),
        netbootMode: optional(oneOf("vps.VpsNetbootEnum", ["local", "rescue"])),
        slaMonitoring: optional(boolean),
      });
      const { displayName, keymap, netbootMode, slaMonitoring } = body as Partial<VpsService>;
      if (displayName) server.displayName = displayName;
      if (keymap) server.keymap = keymap;
      if (typeof slaMonitoring === "boolean") server.slaMonitoring = slaMonitoring;
      if (netbootMode && netbootMode !== server.netbootMode) {
        begin(context, { server, type: "setNetboot", job: "vps:netboot", args: { netbootMode } });
      }
      return null;
    },
    "GET /vps/{serviceName}/ips": (_, params) => {
      const server = serverOf(context, params);
      return addressesOf(server);
    },
    "GET /vps/{serviceName}/ips/{ipAddress}": (_, params) =>
      renderIp(context, serverOf(context, params), params["ipAddress"]),
    "GET /vps/{serviceName}/datacenter": (_, params) => ({
      name: zoneName(serverOf(context, params)),
      longName: "Gravelines",
      country: "fr",
    }),
    "GET /vps/{serviceName}/serviceInfos": (_, params) =>
      renderServiceInfos(context, requireAnyServer(context, params["serviceName"] ?? "")),
    "PUT /vps/{serviceName}/serviceInfos": (request, params) => {
      const server = serverOf(context, params);
      const body = readBody(request, {
        renew: required(
          object({
            automatic: required(boolean),
            deleteAtExpiration: required(boolean),
            forced: required(boolean),
            period: optional(anything),
            manualPayment: optional(boolean),
          }),
        ),
        ...READ_ONLY_SERVICE_INFOS,
      });
      const { automatic, deleteAtExpiration, forced, period } = body["renew"] as VpsService["renew"];
      server.renew = { automatic, deleteAtExpiration, forced, period: period ?? null };
      return null;
    },
  };
}

function taskRoutes(context: OvhContext): Routes {
  return {
    "GET /vps/{serviceName}/tasks": ({ query }, params) =>
      serverOf(context, params)
        .tasks.filter((task) => !query.has("state") || task.state === query.get("state"))
        .filter((task) => !query.has("type") || task.type === query.get("type"))
        .map((task) => task.id),
    "GET /vps/{serviceName}/tasks/{id}": (_, params) => {
      const task = findTask(serverOf(context, params), Number(params["id"]));
      if (!task) throw notFound("This task does not exist");
      return task;
    },
  };
}

/** The operating system: which there are, reinstalling, restarting. */
function systemRoutes(context: OvhContext): Routes {
  return {
    "GET /vps/{serviceName}/images/available": (_, params) => {
      const server = serverOf(context, params);
      return context.images.map((name) => imageId(server, name));
    },
    "GET /vps/{serviceName}/images/available/{id}": (_, params) => {
      const name = imageOf(context, serverOf(context, params), params["id"]);
      return { id: params["id"], name };
    },
    "GET /vps/{serviceName}/images/current": (_, params) => {
      const server = serverOf(context, params);
      return { id: imageId(server, server.imageId), name: server.imageId };
    },
    "POST /vps/{serviceName}/rebuild": (request, params) => {
      const server = serverOf(context, params);
      const body = readBody(request, {
        imageId: required(string),
        publicSshKey: optional(string),
        sshKey: optional(string),
        doNotSendPassword: optional(boolean),
        installRTM: optional(boolean),
      });
      const image = imageOf(context, server, String(body["imageId"]));
      const publicKey = (body["publicSshKey"] as string | null | undefined) ?? null;
      if (publicKey !== null && !PUBLIC_KEY.test(publicKey.trim()))
        throw badRequest("Invalid public SSH key");
      if (body["sshKey"]) throw badRequest("This SSH key does not exist");
      return begin(context, {
        server,
        type: "reinstallVm",
        job: "vps:reinstall",
        args: { image, publicKey: publicKey ?? "" },
      });
    },
    "POST /vps/{serviceName}/reboot": (request, params) => {
      readBody(request, {});
      return begin(context, { server: serverOf(context, params), type: "rebootVm", job: "vps:reboot" });
    },
  };
}

function terminationRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "POST /vps/{serviceName}/terminate": (_, params) => {
      const server = serverOf(context, params);
      const token = randomBytes(16).toString("hex");
      const id = newId(context);
      state.emails.push({
        id,
        date: new Date(now(context)).toISOString(),
        subject: `[OVHcloud] Termination of ${server.serviceName}`,
        body: `To terminate ${server.serviceName}: https://www.ovh.com/manager/#/billing/confirmTerminate?id=${id}&token=${token}`,
      });
      return `A confirmation email has been sent to ${state.account.email}`;
    },
    "POST /vps/{serviceName}/confirmTermination": async (request, params) => {
      const server = serverOf(context, params);
      const body = readBody(request, {
        token: required(string),
        reason: optional(string),
        futureUse: optional(string),
        commentary: optional(string),
      });
      const known = state.emails.some(
        (email) =>
          email.subject.endsWith(server.serviceName) && email.body.endsWith(`token=${String(body["token"])}`),
      );
      if (!known) throw badRequest("Invalid token");
      await context.machine.remove(machineSpec(server));
      state.servers = state.servers.filter((other) => other !== server);
      return "The service has been terminated";
    },
  };
}

function serverOf(context: OvhContext, params: Params): VpsService {
  return requireServer(context, params["serviceName"] ?? "");
}

function imageOf(context: OvhContext, server: VpsService, id: string | undefined): string {
  const name = context.images.find((image) => imageId(server, image) === id);
  if (!name) throw notFound("This image does not exist");
  return name;
}

/** The work of a server's tasks. */
export function vpsJobs(context: OvhContext): Readonly<Record<string, JobHandler>> {
  const find = (serviceName: string | number | undefined): VpsService | undefined =>
    context.state.servers.find((server) => server.serviceName === serviceName);
  const durationOf = (kind: string): number => {
    if (kind === "vps:reinstall") return context.delays.reinstallMs;
    return kind === "vps:reboot" ? context.delays.rebootMs : 0;
  };

  return {
    "vps:start": ({ serviceName, taskId, kind, ...args }) => {
      const server = find(serviceName);
      const task = server && findTask(server, Number(taskId));
      if (!server || !task) return;
      task.state = "doing";
      if (kind === "vps:reinstall") server.state = "installing";
      if (kind === "vps:reboot") server.state = "rebooting";
      const rest: Record<string, string | number> = { serviceName: server.serviceName, taskId: task.id };
      for (const [name, value] of Object.entries(args)) if (value !== undefined) rest[name] = value;
      context.jobs.add(String(kind), rest, durationOf(String(kind)));
    },
    "vps:reinstall": async ({ serviceName, taskId, image, publicKey }) => {
      const server = find(serviceName);
      if (!server) return;
      server.imageId = String(image);
      server.publicKey = publicKey === "" ? null : String(publicKey);
      await finish(server, Number(taskId), () => context.machine.rebuild(machineSpec(server)));
    },
    "vps:reboot": async ({ serviceName, taskId }) => {
      const server = find(serviceName);
      if (server) await finish(server, Number(taskId), () => context.machine.reboot(machineSpec(server)));
    },
    "vps:netboot": ({ serviceName, taskId, netbootMode }) => {
      const server = find(serviceName);
      if (!server) return;
      server.netbootMode = netbootMode as VpsService["netbootMode"];
      server.state = netbootMode === "rescue" ? "rescued" : "running";
      finishTask(server, Number(taskId));
    },
  };
}

async function finish(server: VpsService, taskId: number, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    finishTask(server, taskId, "error");
    throw error;
  }
  // As at OVH: the server is reachable before its task ends.
  server.state = "running";
  finishTask(server, taskId);
}

/** What is to be done to a server. */
interface Work {
  readonly server: VpsService;

  /** OVH's name for the task. */
  readonly type: string;

  /** Which job does it, and with what. */
  readonly job: string;
  readonly args?: Readonly<Record<string, string>>;
}

function begin(context: OvhContext, { server, type, job, args = {} }: Work): Task {
  if (server.suspended) throw badRequest("Action not available while the VPS is suspended");
  if (server.tasks.some(isBusy)) {
    throw badRequest("Action not available while there are running tasks on the VPS");
  }
  const task = startTask(context, { server, type, state: "todo" });
  context.jobs.add(
    "vps:start",
    { serviceName: server.serviceName, taskId: task.id, kind: job, ...args },
    context.delays.taskMs,
  );
  return { ...task };
}

const READ_ONLY_SERVICE_INFOS = Object.fromEntries(
  [
    "serviceId",
    "domain",
    "status",
    "creation",
    "expiration",
    "engagedUpTo",
    "canDeleteAtExpiration",
    "contactAdmin",
    "contactBilling",
    "contactTech",
    "possibleRenewPeriod",
    "renewalType",
  ].map((name) => [name, optional(anything)]),
);

function renderServer(context: OvhContext, server: VpsService): unknown {
  const model = findModel(server.planCode);
  return {
    name: server.serviceName,
    displayName: server.displayName,
    cluster: "",
    keymap: server.keymap,
    lockStatus: { locked: server.suspended, reason: server.suspended ? "abuse" : null },
    memoryLimit: server.memoryMib,
    vcore: server.vcore,
    netbootMode: server.netbootMode,
    offerType: "ssd",
    slaMonitoring: server.slaMonitoring,
    state: server.suspended ? "stopped" : server.state,
    zone: `Region OpenStack: ${zoneName(server)}`,
    zoneType: "region",
    monitoringIpBlocks: [],
    model: {
      availableOptions: ["additionalDisk", "automatedBackup", "snapshot"],
      datacenter: [],
      disk: server.diskGib,
      maximumAdditionnalIp: 16,
      memory: server.memoryMib,
      name: server.planCode,
      offer: model?.name ?? server.planCode,
      vcore: server.vcore,
      version: "2025v1",
    },
    iam: {
      id: uuidOf(server.serviceName),
      urn: `urn:v1:eu:resource:vps:${server.serviceName}`,
      displayName: server.displayName,
      state: server.suspended ? "SUSPENDED" : "OK",
      tags: {},
    },
  };
}

function renderServiceInfos(context: OvhContext, server: VpsService): unknown {
  const { nichandle } = context.state.account;
  return {
    serviceId: Number.parseInt(uuidOf(server.serviceName).slice(0, 6), 16),
    domain: server.serviceName,
    status: server.expired ? "expired" : server.suspended ? "unPaid" : (server.contract ?? "ok"),
    creation: server.creation.slice(0, 10),
    expiration: server.expiration.slice(0, 10),
    engagedUpTo: null,
    canDeleteAtExpiration: true,
    contactAdmin: nichandle,
    contactBilling: nichandle,
    contactTech: nichandle,
    possibleRenewPeriod: [1, 3, 6, 12],
    renew: server.renew,
    renewalType: "automaticV2016",
  };
}

function renderIp(context: OvhContext, server: VpsService, ip: string | undefined): unknown {
  const address = context.addresses.find((candidate) => candidate.ipv4 === server.ipv4);
  if (ip === undefined || !addressesOf(server).includes(ip)) throw notFound("This IP does not exist");
  const isV4 = ip === server.ipv4;
  return {
    ipAddress: ip,
    version: isV4 ? "v4" : "v6",
    type: "primary",
    gateway: (isV4 ? address?.ipv4Gateway : address?.ipv6Gateway) ?? null,
    geolocation: "fr",
    macAddress: null,
    reverse: reverseOf(context.state, ip) ?? null,
  };
}

function zoneName(server: VpsService): string {
  return server.zone ?? `os-${server.datacentre.toLowerCase()}7`;
}

// At OVH an image has another id for each server.
function imageId(server: VpsService, name: string): string {
  return uuidOf(`${server.serviceName} ${name}`);
}

function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    "-",
  );
}
