/** Disk and memory of the server, before a deployment and after it. */
import { script } from "../../../common/script.ts";
import type { Environment } from "../../../stacks/environment.ts";
import type { Server } from "../../server/connection.ts";
import { failed, type Finding, ok } from "../probe.ts";
import type { ImageName, KnownImage } from "../images.ts";

const MIB = 1024 * 1024;
/** Docker keeps a compressed copy while it unpacks an image to about three times that size. */
const UNPACKED_TIMES = 4;

/** Services whose update runs the old and the new task at the same time. */
const SIDE_BY_SIDE: readonly ImageName[] = [
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

/** Whether there is disk for the images, and memory for the tasks that run together during the update. */
export async function checkRoomFor(
  images: readonly KnownImage[],
  { server, environment }: { readonly server: Server; readonly environment: Environment },
): Promise<Finding> {
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
    thresholds: environment.operations.thresholds,
    neededBytes,
    besideMib,
    what: missing.length === 0 ? "aucune image à charger" : `${missing.length} images à charger`,
  });
}

/** Whether the server has room left now. */
export async function checkRoom(server: Server, environment: Environment): Promise<Finding> {
  const { thresholds } = environment.operations;
  return judge(await readRoom(server), { thresholds, neededBytes: 0, besideMib: 0, what: "en service" });
}

interface Need {
  readonly thresholds: Environment["operations"]["thresholds"];
  readonly neededBytes: number;
  /** Memory of the largest task that runs beside its predecessor. */
  readonly besideMib: number;
  readonly what: string;
}

function judge(room: Room, { thresholds, ...need }: Need): Finding {
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
