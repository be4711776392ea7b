/** Room on the server: for what is about to be loaded and started, and after it. */
import type { Environment } from "../../../stacks/environment.ts";
import type { Server } from "../../server/connection.ts";
import { failed, type Finding, ok } from "../finding.ts";
import type { ImageName, KnownImage } from "../images.ts";
import { script } from "./script.ts";

const MIB = 1024 * 1024;
/** Layers are stored unpacked, about three times as large, beside the compressed copy that is being read. */
const UNPACKED_TIMES = 4;

/** Services of which an update runs the old and the new task side by side. */
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
  /** What `docker system prune` would give back, in Docker's words. */
  readonly reclaimable: string;
  /** Digests of the images that are there. */
  readonly digests: readonly string[];
}

/** Whether the images fit, and the tasks that run beside the old ones for a moment. */
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
  return judge(room, environment, {
    neededBytes,
    besideMib,
    what: missing.length === 0 ? "aucune image à charger" : `${missing.length} images à charger`,
  });
}

/** Whether the server has room left as it runs now. */
export async function checkRoom(server: Server, environment: Environment): Promise<Finding> {
  return judge(await readRoom(server), environment, { neededBytes: 0, besideMib: 0, what: "en service" });
}

function judge(
  room: Room,
  { operations: { thresholds } }: Environment,
  need: { readonly neededBytes: number; readonly besideMib: number; readonly what: string },
): Finding {
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
  const told = `${need.what} ; disque libre ${measures.diskFreePercent} %, mémoire utilisée ${measures.memoryUsedPercent} %`;
  return ok(told, measures);
}

async function readRoom(server: Server): Promise<Room> {
  const { stdout } = await server.run({
    purpose: "read what room is left",
    script: script("room.sh"),
    timeoutSeconds: 30,
  });
  return JSON.parse(stdout) as Room;
}

function round(percent: number): number {
  return Math.round(percent * 10) / 10;
}
