/** What a maintenance is going to do, for the person who agrees to it. */
import { renderByHand, renderUpgrade, type Patches, type Upgrade } from "../server/patches.ts";

/** `unfinished`: what an earlier maintenance began; `isElsewhere`: whether other servers do its work meanwhile. */
export function renderPlan(
  patches: Patches,
  { unfinished, isElsewhere }: { readonly unfinished: string | undefined; readonly isElsewhere: boolean },
): string[] {
  const { upgrades, broken, reboot } = patches;
  return [
    ...(unfinished === undefined ? [] : [`goes on with a maintenance that did not come to its end`]),
    ...(broken === undefined
      ? []
      : [`repairs the packages first (${broken}), and then installs what is pending`]),
    ...(upgrades.length === 0 ? [] : [`${count(upgrades.length, "upgrade")}:`]),
    ...upgrades.map((upgrade) => `  ${renderUpgrade(upgrade)}`),
    ...renderKept(patches),
    ...upgrades.flatMap(warnOfMajor),
    ...(isElsewhere
      ? [
          "its visitors and its work go to the other servers first, and come back afterwards: nothing is interrupted",
        ]
      : renderInterruption(patches)),
    reboot === undefined
      ? "the server reboots only if an upgrade asks for that"
      : `the server reboots: ${reboot}`,
  ];
}

/** What stays as it is, and what a person types about it. */
export function renderKept({ kept }: Patches): string[] {
  if (kept.length === 0) return [];
  return [
    "stays as it is:",
    ...kept.map((upgrade) => `  ${renderUpgrade(upgrade)}`),
    ...renderByHand(kept).map((line) => `  ${line}`),
  ];
}

function renderInterruption({ engine, reboot }: Patches): string[] {
  const restartsDocker = engine.some(({ kept }) => kept === undefined);
  const causes = [
    ...(restartsDocker ? ["while Docker restarts (about a minute)"] : []),
    reboot === undefined ? "during a reboot (some minutes)" : "during the reboot (some minutes)",
  ];
  return [
    `nothing answers ${causes.join(" and ")}: browsers say that they cannot reach the site, calls of n8n's webhooks are lost unless their sender repeats them, and workflows that run are cut off`,
  ];
}

/** The engine of Debian and Ubuntu stays in its series for the most part; Docker's own repository has every new one. */
function warnOfMajor({ package: name, installed, available }: Upgrade): string[] {
  if (name !== "docker.io" && name !== "docker-ce") return [];
  const [from, to] = [majorOf(installed), majorOf(available)];
  if (from === undefined || from === to) return [];
  return [
    `Docker changes from ${from} to ${to ?? available}: read what that breaks (https://docs.docker.com/engine/release-notes/), and do it on the stack test first`,
  ];
}

/** `5:28.5.1-1~debian.12` → 28. */
function majorOf(version: string): string | undefined {
  return /^(?:\d+:)?(\d+)\./.exec(version)?.[1];
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
