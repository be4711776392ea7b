/** A server with a volume of documents, a Qdrant and an n8n that exist only in a test, for the real program. */
import { execFileSync, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../../components/scripts/documents/main.py", import.meta.url));

export interface Point {
  readonly id: number;
  readonly payload: Readonly<Record<string, unknown>>;
}

interface Condition {
  readonly key: string;
  readonly match: { readonly value: unknown };
}

interface Filter {
  readonly must?: readonly Condition[];
  readonly must_not?: readonly Condition[];
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class FakeServer {
  readonly volume: string;
  points: Point[] = [];

  /** Requests, such as `POST /collections/technicia/points/delete?wait=true`. */
  readonly asked: string[] = [];

  /** Status that Qdrant answers from now on. */
  broken: number | undefined;

  /** What n8n does when it is asked to index again; gives the name of the ingestion. */
  reindex: (body: { readonly documentId: string; readonly documentName: string }) => Promise<string> = () =>
    Promise.reject(new Error("n8n: not expected"));

  readonly #folder: string;
  readonly #close: () => void;

  private constructor(folder: string, close: () => void) {
    this.#folder = folder;
    this.#close = close;
    this.volume = join(folder, "volume");
  }

  static async start(settings: Readonly<Record<string, unknown>> = {}): Promise<FakeServer> {
    const folder = await mkdtemp(join(tmpdir(), "technicia-documents-"));
    const server = createServer((request, response) => {
      void made.#answer(request).then(
        (body) => response.end(JSON.stringify(body)),
        (error: unknown) => response.writeHead(made.broken ?? 500).end(String(error)),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const made = new FakeServer(folder, () => server.close());
    await mkdir(made.volume);
    await mkdir(join(folder, "bin"));
    const docker = join(folder, "bin/docker");
    await writeFile(
      docker,
      `#!/bin/sh\n[ "$*" = "volume inspect --format {{.Mountpoint}} technicia-documents-data" ] && echo '${made.volume}'\n`,
    );
    await chmod(docker, 0o755);
    await writeFile(join(folder, "key"), "canary-of-qdrant\n");
    const all = {
      ...{ stack: "prod", volume: "technicia-documents-data", collection: "technicia", qdrant: origin },
      ...{ n8n: origin, staleSeconds: 60, failedDays: 7, qdrantKey: join(folder, "key") },
      ...{ lock: join(folder, "lock"), restore: join(folder, "restore.json"), pollSeconds: 0.02 },
      ...settings,
    };
    await writeFile(join(folder, "settings.json"), JSON.stringify(all));
    return made;
  }

  async #answer(request: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, never>;
    const { url = "" } = request;
    this.asked.push(`${request.method} ${url}`);
    if (url === "/webhook/reindex") return { success: true, ingestion: await this.reindex(body as never) };
    if (this.broken !== undefined) throw new Error("broken");
    if (request.headers["api-key"] !== "canary-of-qdrant") throw new Error("no key");
    const action = /^\/collections\/technicia\/points\/(\w+)/.exec(url)?.[1];
    const chosen = this.points.filter((point) => fits(point, body["filter"]));
    if (action === "count") return { result: { count: chosen.length } };
    if (action === "delete") {
      const ids = body["points"] as readonly number[] | undefined;
      this.points = this.points.filter((point) =>
        ids === undefined ? !chosen.includes(point) : !ids.includes(point.id),
      );
      return { result: {} };
    }
    // Two at a time, so that pages are read.
    const rest = chosen.filter(({ id }) => id >= Number(body["offset"] ?? 0));
    return { result: { points: rest.slice(0, 2), next_page_offset: rest[2]?.id ?? null } };
  }

  /** Points of a document's ingestion, one for each page. */
  store(
    document: string,
    { ingestion, pages }: { readonly ingestion?: string; readonly pages: number },
  ): void {
    const payload = {
      document_id: document,
      document_name: `${document}.pdf`,
      ...(ingestion && { ingestion }),
    };
    const next = Math.max(0, ...this.points.map(({ id }) => id)) + 1;
    for (let page = 1; page <= pages; page++)
      this.points.push({ id: next + page, payload: { ...payload, page_number: page, passage: page } });
  }

  /** Files of a document and a card, as n8n and document-processor leave them. */
  async keep(document: string, ingestion: string, card: Readonly<Record<string, unknown>>): Promise<void> {
    await this.write(`${document}.pdf`, "%PDF");
    await mkdir(join(this.volume, document, ingestion, "images"), { recursive: true });
    await this.write(join(document, ingestion, "images/1.png"), "png");
    const known = {
      document_id: document,
      document_name: `${document} !`,
      ingestion,
      at: new Date(),
      ...card,
    };
    await this.write(`${document}.${ingestion}.json`, JSON.stringify(known));
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.volume, name), text);
  }

  /** Makes a file look as old as this. */
  async age(name: string, seconds: number): Promise<void> {
    const then = Date.now() / 1000 - seconds;
    await utimes(join(this.volume, name), then, then);
  }

  async card(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await readFile(join(this.volume, `${name}.json`), "utf8")) as Record<string, unknown>;
  }

  /** Every file of the volume. */
  async files(): Promise<string[]> {
    const found = await readdir(this.volume, { recursive: true, withFileTypes: true });
    return found
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.volume.length + 1))
      .sort();
  }

  async beginRestore(): Promise<void> {
    await writeFile(join(this.#folder, "restore.json"), "{}");
  }

  /** A program that is the real one with this server's settings, whatever its environment. */
  async program(): Promise<string> {
    const path = join(this.#folder, "bin/main.py");
    const python = execFileSync("which", ["python3"], { encoding: "utf8" }).trim();
    const settings = join(this.#folder, "settings.json");
    await writeFile(
      path,
      `#!/bin/sh\nPATH="${join(this.#folder, "bin")}:$PATH" exec ${python} -B ${PROGRAM} --settings ${settings} "$@"\n`,
    );
    await chmod(path, 0o755);
    return path;
  }

  run(...words: readonly string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const child = spawn(
        "python3",
        ["-B", PROGRAM, "--settings", join(this.#folder, "settings.json"), ...words],
        { env: { PATH: `${join(this.#folder, "bin")}:${process.env["PATH"] ?? ""}` } },
      );
      let [stdout, stderr] = ["", ""];
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, stdout, stderr }));
    });
  }

  async close(): Promise<void> {
    this.#close();
    await rm(this.#folder, { recursive: true });
  }
}

function fits({ payload }: Point, filter: Filter = {}): boolean {
  const holds = ({ key, match }: Condition) => payload[key] === match.value;
  return (filter.must ?? []).every(holds) && !(filter.must_not ?? []).some(holds);
}
