/** What an environment survives, from the list of its servers alone: for `docs/servers.md`, and for whoever shows it. */
import { type ServerLabel, type ServerRole, votes } from "../common/servers.ts";

/** What matters of a server here. */
export interface ShapeServer {
  readonly name: string;
  readonly role: ServerRole;
  readonly labels: readonly ServerLabel[];
}

/** What remains when one server is lost. */
export interface Loss {
  readonly server: string;

  /** Whether another server takes visitors. */
  readonly hasGateway: boolean;

  /** Whether the data is on another server: questions, uploads, n8n. */
  readonly hasData: boolean;

  /** Whether another server runs what keeps no data. */
  readonly hasServices: boolean;

  /** Whether more than half of the voters are left: without them what runs goes on, and nothing moves or can be changed. */
  readonly hasQuorum: boolean;
}

export function lossesOf(servers: readonly ShapeServer[]): Loss[] {
  const voters = servers.filter(({ role }) => votes(role)).length;
  return servers.map((lost): Loss => {
    const left = servers.filter((server) => server !== lost);
    return {
      server: lost.name,
      hasGateway: left.some(({ labels }) => labels.includes("gateway")),
      hasData: left.some(({ labels }) => labels.includes("n8n")),
      hasServices: left.some(({ role }) => role !== "witness"),
      hasQuorum: left.filter(({ role }) => votes(role)).length > voters / 2,
    };
  });
}

/** How many voters may be lost at the same time. */
export function toleratedVoters(servers: readonly ShapeServer[]): number {
  return Math.floor((servers.filter(({ role }) => votes(role)).length - 1) / 2);
}

/** Above the cells of `describeLoss`. */
export const LOSS_HEADINGS = ["Lost", "Visitors get", "Of the data they get", "The Swarm"] as const;

/** Cells of a row: who is lost, what visitors see, what of the data, what of the Swarm. */
export function describeLoss(loss: Loss): readonly [string, string, string, string] {
  return [
    loss.server,
    loss.hasGateway ? "pages, by the other addresses" : "nothing",
    loss.hasData
      ? "answers and uploads as before"
      : "none until it is back, or restored from a set of backups",
    loss.hasQuorum
      ? loss.hasServices
        ? "goes on, and starts elsewhere what was there"
        : "goes on, and starts nothing elsewhere"
      : "stands still: nothing can be changed until it is back",
  ];
}

const ALL: readonly ServerLabel[] = ["gateway", "qdrant", "n8n", "postgres", "monitoring"];
const manager = (name: string, labels: readonly ServerLabel[]): ShapeServer => ({
  ...{ name, role: "manager", labels },
});

/** The shapes that are rehearsed and documented. */
export const SHAPES: Readonly<Record<string, readonly ShapeServer[]>> = {
  "one server": [manager("a", ALL)],
  "two and a witness": [
    manager("a", ALL),
    manager("b", ["gateway"]),
    { name: "c", role: "witness", labels: [] },
  ],
  "three equal ones": [manager("a", ALL), manager("b", ["gateway"]), manager("c", ["gateway"])],
};

/** The table of what each shape survives, in Markdown. */
export function renderShapes(): string {
  const rows = Object.entries(SHAPES).flatMap(([shape, servers]) =>
    lossesOf(servers).map((loss, index) => {
      const { role, labels } = servers[index]!;
      const [name, ...cells] = describeLoss(loss);
      const isData = labels.includes("n8n") ? "the data" : role === "witness" ? "the witness" : "no data";
      return [index === 0 ? shape : "", `${name}, with ${isData}`, ...cells];
    }),
  );
  const head = ["Shape", ...LOSS_HEADINGS];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
