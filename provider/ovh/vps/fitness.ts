import { UserError } from "../../../common/user-error.ts";
import { isSameImage } from "./install.ts";
import type { Facts } from "./server-api.ts";

/** What a server must offer. */
export interface Requirements {
  readonly vcores: number;
  readonly memoryGib: number;
  readonly datacentre: string;
  readonly image: string;
}

/** States of a contract in which OVH has stopped the server or is about to. */
const ENDED: readonly string[] = ["expired", "unPaid"];

const PANEL = "in OVH's control panel";

/** Refuses a server that cannot be used now: expired, locked, in rescue mode, stopped or being reinstalled. */
export function requireUsable(facts: Facts): void {
  refuse(facts, outages(facts));
}

/** Refuses a server that cannot be adopted as it is. Nothing here changes a server to make it fit. */
export function requireFit(facts: Facts, wanted: Partial<Requirements> & Pick<Requirements, "image">): void {
  const { image } = facts;
  refuse(facts, [
    ...outages(facts),
    ...shortfalls(facts, wanted),
    ...(image !== undefined && !isSameImage(image, wanted.image)
      ? [
          `expected ${wanted.image}, got ${image}; set server.image to it, or reinstall the server yourself ${PANEL}, which wipes the disk`,
        ]
      : []),
  ]);
}

/** In which ways the server falls short of the requirements. */
export function shortfalls(
  facts: Pick<Facts, "vcore" | "memoryMib" | "zone">,
  wanted: { readonly [Name in keyof Requirements]?: Requirements[Name] | undefined },
): readonly string[] {
  const { vcores, memoryGib, datacentre } = wanted;
  const bigger = `upgrade it ${PANEL}, or ask for less`;
  return [
    ...(vcores !== undefined && facts.vcore < vcores
      ? [`expected at least ${vcores} vCores, got ${facts.vcore}; ${bigger}`]
      : []),
    ...(memoryGib !== undefined && facts.memoryMib < memoryGib * 1024
      ? [`expected at least ${memoryGib} GiB of memory, got ${facts.memoryMib / 1024}; ${bigger}`]
      : []),
    ...(datacentre !== undefined && !isIn(facts.zone, datacentre)
      ? [
          `expected it in ${datacentre}, got ${facts.zone}; set server.datacentre to ${datacentreOf(facts.zone)}, or use another server`,
        ]
      : []),
  ];
}

/** Whether a zone such as `Region OpenStack: os-gra7` is in a datacentre such as `GRA`, or `os-us-east-va-vps-1` in `US-EAST-VA`. */
export function isIn(zone: string, datacentre: string): boolean {
  const [there, wanted] = [words(zone), words(datacentre)];
  return there.some((_, start) => wanted.every((word, index) => there[start + index] === word));
}

/** Code of the datacentre of a zone, without the words and numbers that OVH puts around it. */
export function datacentreOf(zone: string): string {
  const code = words(zone).filter((word) => !["", "region", "openstack", "os"].includes(word));
  const end = code.indexOf("vps");
  return (end < 0 ? code : code.slice(0, end)).join("-").toUpperCase() || zone;
}

function words(text: string): readonly string[] {
  return text
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
    .map(stem);
}

function stem(word: string): string {
  return word.toLowerCase().replace(/\d+$/, "");
}

function outages(facts: Facts): readonly string[] {
  const { contract, lock, netbootMode, state, installing } = facts;
  const isRescued = netbootMode === "rescue" || state === "rescued";
  return [
    ...(ENDED.includes(contract.status)
      ? [
          `expected a contract in force, got "${contract.status}" (until ${contract.expiration}); renew or pay it ${PANEL}`,
        ]
      : []),
    ...(lock !== undefined ? [`OVH has locked it (${lock}); contact OVH's support`] : []),
    ...(isRescued ? [`it is in rescue mode; end that ${PANEL} and reboot it`] : []),
    ...(lock === undefined && (state === "stopped" || state === "stopping")
      ? [`expected it running, got ${state}; start it ${PANEL}`]
      : []),
    ...(installing
      ? [`OVH is reinstalling it (${installing.progress} %); run this again when that has finished`]
      : []),
  ];
}

function refuse(facts: Facts, problems: readonly string[]): void {
  const [first, ...more] = problems;
  if (first === undefined) return;
  const subject = facts.serviceName;
  throw new UserError(
    more.length === 0 ? `${subject}: ${first}` : [`${subject} has problems:`, ...problems].join("\n  "),
  );
}
