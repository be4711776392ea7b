/** Changes that the next deployment cannot undo. */
import { entryOf, secretNames } from "../../secrets/catalog.ts";
import { edgeOpenings, tableOpenings } from "./opening.ts";
import { describeProperties } from "./properties.ts";
import type { Loss } from "../../stacks/resource-kinds.ts";
import type { Step } from "./steps.ts";

export interface Irreversible {
  readonly kind: "data" | "key" | "server" | "reinstall" | "order" | "opening" | "secret" | "protection";
  readonly resource: string;
  /** Follows the resource's name in a sentence. */
  readonly text: string;
  /** Ends the sentence: a rule, a property, a plan. */
  readonly detail?: string | undefined;
}

type Finding = Omit<Irreversible, "resource">;
type Watch = (step: Step) => Finding[];

/** In the order of their kinds. */
const WATCHES: readonly Watch[] = [
  ofLoss({ volume: watchVolume, stored: watchStored }),
  ofLoss({ "host-key": watchHostKey, "login-keys": watchLoginKeys }),
  ofLoss({ server: watchServer }),
  ofLoss({ installation: watchInstallation }),
  ofLoss({ "edge-firewall": watchEdgeFirewall }),
  ofLoss({ "host-firewall": watchHostFirewall }),
  watchSecrets,
  watchProtection,
];

function ofLoss(watches: Partial<Record<Loss, Watch>>): Watch {
  return (step) => (step.row.loss && watches[step.row.loss]?.(step)) ?? [];
}

/** In the order of their kinds, as people should read them. */
export function findIrreversible(steps: readonly Step[]): Irreversible[] {
  return WATCHES.flatMap((watch) =>
    steps.flatMap((step) => watch(step).map((finding) => ({ ...finding, resource: step.name }))),
  );
}

function watchVolume({ kind }: Step): Finding[] {
  if (kind === "delete") return [{ kind: "data", text: "is deleted: what this volume holds is lost" }];
  return kind === "replace"
    ? [{ kind: "data", text: "is replaced by an empty volume: what it holds is lost" }]
    : [];
}

function watchStored({ kind, before }: Step): Finding[] {
  return before?.inputs["remove"] !== undefined && isRemoved(kind)
    ? [{ kind: "data", text: "is removed from the service that stores it" }]
    : [];
}

function watchHostKey({ kind }: Step): Finding[] {
  if (kind === "delete") {
    return [{ kind: "key", text: "is forgotten: the next server that answers at this address is trusted" }];
  }
  const text = "is read again: the server that answers at this address now is trusted afterwards";
  return kind === "replace" ? [{ kind: "key", text }] : [];
}

function watchLoginKeys({ kind }: Step): Finding[] {
  return isRemoved(kind)
    ? [{ kind: "key", text: "is removed: the people it names can no longer log in" }]
    : [];
}

function watchServer({ kind, before, after, foreseen }: Step): Finding[] {
  const endsContract = before?.inputs["deleteAtExpiry"] === true;
  const loss = endsContract
    ? "its contract ends at its expiry, with everything on its disk"
    : "it keeps running and is paid for, but is no longer managed";
  switch (kind) {
    case "delete":
      return [{ kind: "server", text: `is removed: ${loss}` }];
    case "replace":
      return [
        { kind: "server", text: `is replaced by another server: ${loss}` },
        ...describeOrder(after?.inputs ?? {}, foreseen),
      ];
    case "create":
      return describeOrder(after?.inputs ?? {}, foreseen);
    default:
      return [];
  }
}

function describeOrder(
  inputs: Record<string, unknown>,
  foreseen: Readonly<Record<string, unknown>>,
): Finding[] {
  const { order } = inputs;
  if (typeof order !== "object" || order === null) return [];
  const { plan, monthlyPriceEur, orderId } = foreseen;
  const most = (order as Record<string, unknown>)["maxMonthlyPriceEur"];
  const price =
    typeof monthlyPriceEur === "number"
      ? `${monthlyPriceEur.toFixed(2)} € a month without tax`
      : typeof most === "number"
        ? `at most ${most.toFixed(2)} € a month without tax, the exact price is not known yet`
        : "a price that is not known yet";
  const verb = typeof orderId === "number" ? `continues order ${orderId}` : "is ordered and paid";
  return [{ kind: "order", text: `${verb}: ${price}`, detail: typeof plan === "string" ? plan : undefined }];
}

function watchInstallation(step: Step): Finding[] {
  if (step.kind === "same" || step.kind === "create") return [];
  const changed = describeProperties(step).some(({ path }) => path === "serverId");
  return changed && step.kind !== "delete"
    ? [{ kind: "reinstall", text: "belongs to a reinstalled server: everything on the host is recreated" }]
    : [];
}

function watchEdgeFirewall({ kind, before, after }: Step): Finding[] {
  if (kind === "delete")
    return [{ kind: "opening", text: "is removed: only the host's own firewall is left" }];
  if (kind !== "update" && kind !== "replace") return [];
  return edgeOpenings(before?.inputs["rules"], after?.inputs["rules"]).map(opening);
}

function watchHostFirewall({ type, kind, name, before, after }: Step): Finding[] {
  if (name === "host-firewall-loaded" && kind === "delete") {
    return [{ kind: "opening", text: "is removed: every port of Docker and sshd is open" }];
  }
  if (type === "technicia:host:File" && name === "host-firewall-table") {
    const [old, next] = [before?.inputs["content"], after?.inputs["content"]];
    if (kind !== "update" && kind !== "replace") return [];
    if (typeof old !== "string" || typeof next !== "string") {
      return [{ kind: "opening", text: "changes in a way that is not known yet" }];
    }
    return tableOpenings(old, next).map(opening);
  }
  const isOff = name === "host-firewall-unit" && after?.inputs["active"] === false;
  return isOff && kind === "update" ? [{ kind: "opening", text: "is switched off" }] : [];
}

function opening(rule: string): Finding {
  return { kind: "opening", text: "opens what was closed", detail: rule };
}

function watchSecrets(step: Step): Finding[] {
  const { kind, name, row } = step;
  const known = secretNames.find((secret) => name.endsWith(`-${kebab(secret)}`));
  const isKey = known !== undefined && entryOf(known).irreplaceable === true;
  const finding = (text: string, detail?: string): Finding => ({
    kind: isKey ? "key" : "secret",
    text: isKey ? `${text}; ${entryOf(known).rotation.replace(/^never: /, "")}` : text,
    detail,
  });
  if (kind === "delete") {
    return row.loss === "secret" ? [finding("is deleted, and its readers stop")] : [];
  }
  if (kind !== "update" && kind !== "replace") return [];
  return describeProperties(step)
    .filter(({ before }) => before.kind === "secret")
    .map(({ path }) => finding("has another secret; the previous one stops working", path));
}

function watchProtection({ kind, before, after }: Step): Finding[] {
  if (!before || !after || kind === "delete" || kind === "forget") return [];
  const lost = [
    ...(before.protect && !after.protect ? ["its protection against deletion"] : []),
    ...(before.retainOnDelete && !after.retainOnDelete ? ["the rule that keeps it when it is deleted"] : []),
  ];
  return lost.map((what) => ({ kind: "protection", text: `loses ${what}` }));
}

function isRemoved(kind: Step["kind"]): boolean {
  return kind === "delete" || kind === "replace";
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
