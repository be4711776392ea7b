/** The server itself: its disk, its memory and its clock. */
import { script } from "../../../common/script.ts";
import { OvhClient } from "../../../provider/ovh/client.ts";
import type { Environment } from "../../../stacks/environment.ts";
import type { Server } from "../../server/connection.ts";
import type { RegistryImage } from "../../../common/registry.ts";
import { readOvh } from "../../vendors/calls.ts";
import type { CheckEffects, ServerAccess } from "../context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "../probe.ts";
import { excessOnDisk } from "../../../stacks/monitoring-rules.ts";
import { type ReleaseLimits, releaseLimits } from "../../../stacks/release-limits.ts";

const MIB = 1024 * 1024;
/** Docker keeps a compressed copy while it unpacks an image to about three times that size. */
const UNPACKED_TIMES = 4;

/** An image of the settings, as its registry knows it. */
export interface KnownImage extends RegistryImage {
  readonly service: keyof Environment["images"];
}

/** Services whose update runs the old and the new task at the same time. */
const SIDE_BY_SIDE: readonly KnownImage["service"][] = [
  "vectorStore",
  "n8nRunners",
  "documentProcessor",
  "visionClassifier",
  "frontend",
];

interface Room {
  readonly diskBytes: number;
  readonly diskFreeBytes: number;
  readonly memoryMib: number;
  readonly memoryAvailableMib: number;
  readonly swapFreeMib: number;
  /** What `docker system prune` would free, in Docker's words. */
  readonly reclaimable: string;
  /** Digests of the images on the server. */
  readonly digests: readonly string[];
}

export interface RoomRequest {
  readonly server: Server;
  readonly environment: Environment;

  /** Whether metrics and logs take a share of its disk. @default true */
  readonly keepsMonitoring?: boolean | undefined;
}

function monitoringOf({ environment, keepsMonitoring = true }: RoomRequest) {
  return keepsMonitoring ? environment.monitoring : undefined;
}

/** Whether there is disk for the images, and memory for the tasks that run together during the update. */
export async function checkRoomFor(images: readonly KnownImage[], request: RoomRequest): Promise<Finding> {
  const { server, environment } = request;
  const room = await readRoom(server);
  const missing = images.filter(({ digest }) => !room.digests.includes(digest));
  const neededBytes = missing.reduce((sum, image) => sum + image.downloadBytes, 0) * UNPACKED_TIMES;
  const limits = environment.services as Readonly<
    Record<string, { readonly memoryMib?: number } | undefined>
  >;
  const besideMib = Math.max(
    0,
    ...missing
      .filter(({ service }) => SIDE_BY_SIDE.includes(service))
      .map(({ service }) => limits[service]?.memoryMib ?? 0),
  );
  return judge(room, {
    thresholds: releaseLimits(environment),
    neededBytes,
    besideMib,
    monitoring: monitoringOf(request),
    what: missing.length === 0 ? "aucune image à charger" : `${missing.length} images à charger`,
  });
}

/** Whether the server has room left now. */
export async function checkRoom(request: RoomRequest): Promise<Finding> {
  const { server, environment } = request;
  const thresholds = releaseLimits(environment);
  const monitoring = monitoringOf(request);
  const need = { thresholds, monitoring, neededBytes: 0, besideMib: 0, what: "en service" };
  return judge(await readRoom(server), need);
}

function judge(
  room: Room,
  need: {
    readonly thresholds: ReleaseLimits;
    readonly neededBytes: number;
    readonly monitoring: Environment["monitoring"] | undefined;
    /** Memory of the largest task that runs beside its predecessor. */
    readonly besideMib: number;
    readonly what: string;
  },
): Finding {
  const { thresholds } = need;
  const freePercent = (100 * (room.diskFreeBytes - need.neededBytes)) / room.diskBytes;
  const usedPercent = (100 * (room.memoryMib - room.memoryAvailableMib)) / room.memoryMib;
  const measures = {
    diskFreePercent: round(freePercent),
    diskFreeMib: Math.floor(room.diskFreeBytes / MIB),
    diskNeededMib: Math.ceil(need.neededBytes / MIB),
    memoryUsedPercent: round(usedPercent),
    memoryAvailableMib: room.memoryAvailableMib,
    memoryNeededMib: need.besideMib,
  };
  const problems = [
    ...findExcess(need.monitoring, room),
    ...(freePercent < thresholds.diskFreePercent
      ? [
          `disque : resterait ${round(freePercent)} % de libre, attendu ${thresholds.diskFreePercent} % ` +
            `(${measures.diskNeededMib} Mio à charger ; docker system prune rendrait ${room.reclaimable})`,
        ]
      : []),
    ...(usedPercent > thresholds.memoryUsedPercent
      ? [`mémoire : ${round(usedPercent)} % utilisés, au plus ${thresholds.memoryUsedPercent} % attendus`]
      : []),
    ...(room.memoryAvailableMib + room.swapFreeMib < need.besideMib
      ? [
          `mémoire : ${room.memoryAvailableMib + room.swapFreeMib} Mio libres avec l'échange, ` +
            `${need.besideMib} Mio nécessaires pendant la mise à jour`,
        ]
      : []),
  ];
  if (problems.length > 0) return failed(problems.join(" ; "), measures);
  const seen = `${need.what} ; disque libre ${measures.diskFreePercent} %, mémoire utilisée ${measures.memoryUsedPercent} %`;
  return ok(seen, measures);
}

/** The disk of the settings may be another one than the server's. */
function findExcess(monitoring: Environment["monitoring"] | undefined, { diskBytes }: Room): string[] {
  if (monitoring === undefined) return [];
  const diskGib = Math.floor(diskBytes / (1024 * MIB));
  const excess = excessOnDisk(monitoring, diskGib);
  if (excess === undefined) return [];
  return [
    `surveillance : ${excess.keptGib} Gio à garder (technicia:monitoring, ${excess.parts}), ` +
      `au plus ${excess.mostGib} attendus, la moitié du disque de ${diskGib} Gio ; baisser l'une des trois valeurs`,
  ];
}

async function readRoom(server: Server): Promise<Room> {
  const { stdout } = await server.run({
    purpose: "read what room is left",
    script: script(new URL("scripts/room.sh", import.meta.url)),
    timeoutSeconds: 30,
  });
  return JSON.parse(stdout) as Room;
}

function round(percent: number): number {
  return Math.round(percent * 10) / 10;
}

/** Certificates, signatures and tokens tolerate half a minute; a synchronised clock is off by milliseconds. */
const TOLERANCE_SECONDS = 5;

/** Compares this machine's clock with OVH's and with the server's. */
export function clockProbe(
  options: Pick<CheckEffects, "fetch" | "now"> & {
    /** Endpoint of OVH's API; undefined: it is not asked. */
    readonly endpoint: string | undefined;
    readonly access: ServerAccess;
  },
): Probe {
  const { now, access, endpoint, fetch } = options;
  return {
    id: "clock",
    title: "Horloges à l'heure",
    async find(signal) {
      const measures: Record<string, number> = {};
      const seen: string[] = [];
      const silent: string[] = [];
      let isWrong = false;
      const compare = async (name: string, clock: { measure: string; read: () => Promise<number> }) => {
        const before = now();
        try {
          const time = await clock.read();
          // The clock was read at some moment between the question and now.
          const seconds = (time - (before + now()) / 2) / 1000;
          measures[clock.measure] = Math.round(seconds * 100) / 100;
          seen.push(`${name} ${seconds >= 0 ? "+" : ""}${seconds.toFixed(1)} s`);
          // A clock that prints no number is wrong, too.
          isWrong ||= !(Math.abs(seconds) <= TOLERANCE_SECONDS);
        } catch (error) {
          signal.throwIfAborted();
          silent.push(`${name} (${error instanceof Error ? error.message : String(error)})`);
        }
      };
      // One after the other, because a busy machine measures badly.
      if (endpoint !== undefined) {
        const read = () => readOvhTime({ endpoint, fetch }, signal);
        await compare("OVH", { measure: "ovhOffsetSeconds", read });
      }
      await compare("serveur", { measure: "serverOffsetSeconds", read: () => readServerTime(access) });

      const offsets = `écart avec cette machine : ${seen.join(", ")}`;
      if (isWrong) return failed(offsets, measures);
      return silent.length > 0
        ? notChecked(`sans réponse : ${silent.join(", ")}`, measures)
        : ok(offsets, measures);
    },
  };
}

/** Milliseconds since 1970. */
async function readOvhTime(
  { endpoint, fetch }: { readonly endpoint: string; readonly fetch: typeof globalThis.fetch },
  signal: AbortSignal,
): Promise<number> {
  const client = new OvhClient({ endpoint, credentials: { kind: "none" }, attempts: 1, fetch });
  const { body } = await readOvh(client, { path: "/auth/time", isPublic: true, signal });
  if (typeof body !== "number") throw new Error("OVH ne donne pas son heure");
  // OVH gives whole seconds, which are half a second late on average.
  return body * 1000 + 500;
}

/** Milliseconds since 1970. */
async function readServerTime(access: ServerAccess): Promise<number> {
  if (!access.server) throw new Error(access.obstacle);
  const { stdout } = await access.server.run({
    purpose: "read its clock",
    script: "date +%s%3N",
    timeoutSeconds: 20,
  });
  return Number(stdout.trim());
}
