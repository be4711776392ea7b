import { createHash } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { parseUrn } from "../../../common/urn.ts";

/** What must survive the process between the order of a server and its entry in the state. */
export interface Entry {
  /** The resource and the endpoint. */
  readonly subject: string;
  /** Written before the checkout: what it takes to find the order again. */
  readonly checkout?: {
    readonly cartId: string;
    readonly at: string;
    /** Orders that already existed. */
    readonly knownOrders: readonly number[];
    readonly plan: string;
    readonly monthlyPriceEur: number;
  };
  readonly order?: { readonly id: number; readonly plan: string; readonly monthlyPriceEur: number };
  /** Written before the payment. */
  readonly isPaying?: boolean;
  readonly serviceName?: string;
  /** Written before the installation. */
  readonly install?: {
    /** Reinstallations that already existed. */
    readonly knownTasks: readonly number[];
    readonly publicKey: string;
    readonly image: string;
  };
  /** Set once the server is complete; the state knows it then, unless the process died just before. */
  readonly isComplete?: boolean;
}

/** Name of a resource in this account, the same on every machine: project, stack and logical name. */
export function markerOf(urn: string): string {
  const { stack, project, name } = parseUrn(urn);
  return `technicia ${project}/${stack}/${name}`;
}

/** The default folder of journals, next to Pulumi's own files of this user. */
export function journalFolder(): string {
  return join(process.env["PULUMI_HOME"] || join(homedir(), ".pulumi"), "technicia");
}

/**
 * A file that records an order in progress.
 *
 * The engine saves nothing during a creation. Without this file, a run after a process was killed between order and payment would order again.
 */
export class Journal {
  readonly #folder: string;
  readonly path: string;
  #entry: Entry;

  private constructor(folder: string, path: string, entry: Entry) {
    this.#folder = folder;
    this.path = path;
    this.#entry = entry;
  }

  static open(folder: string, subject: string): Journal {
    const digest = createHash("sha256").update(subject).digest("hex").slice(0, 24);
    const path = join(folder, `${digest}.json`);
    return new Journal(folder, path, readEntry(path) ?? { subject });
  }

  get entry(): Entry {
    return this.#entry;
  }

  /** Writes the change; it is safely on disk when this returns. */
  note(change: Partial<Entry>): void {
    this.#entry = { ...this.#entry, ...change };
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const draft = `${this.path}.new`;
    const file = openSync(draft, "w", 0o600);
    try {
      writeSync(file, `${JSON.stringify(this.#entry, undefined, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, this.path);
    syncFolder(this.#folder);
  }

  /** Forgets everything. */
  clear(): void {
    rmSync(this.path, { force: true });
    this.#entry = { subject: this.#entry.subject };
  }

  /** Orders in the journals of other resources. */
  ordersOfOthers(): ReadonlySet<number> {
    const orders = new Set<number>();
    for (const name of listFolder(this.#folder)) {
      const entry = readEntry(join(this.#folder, name));
      if (entry?.order && entry.subject !== this.#entry.subject) orders.add(entry.order.id);
    }
    return orders;
  }
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function readEntry(path: string): Entry | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Entry;
  } catch (error) {
    if (isMissing(error)) return undefined;
    // An unreadable journal may hide an order. Ignoring it could buy a second server.
    throw new Error(
      `${path}: expected the journal of an order, got an unreadable file; restore or remove it`,
      { cause: error },
    );
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

// The rename is only safe once the folder is on disk.
function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
