/** Since when things are as they were found: dates of files, systemd's and Docker's own records, asked in one call. */
import { readFileSync } from "node:fs";

import type { Server } from "../server/connection.ts";
import type { Difference } from "./differences.ts";

/** What of the host may know, as a function of the script and its arguments. */
type Question = readonly [
  name: "file" | "unit" | "package" | "service" | "container" | "event" | "process",
  ...args: string[],
];

const SCRIPT = readFileSync(new URL("since.sh", import.meta.url), "utf8");

/** In the order of the differences; undefined where nothing can tell. */
export async function readSince(
  differences: readonly Difference[],
  server: Server,
): Promise<(Date | undefined)[]> {
  const questions = differences.map(questionOf);
  const asked = questions.flatMap((question) => (question ? [question.join("\t")] : []));
  if (asked.length === 0) return questions.map(() => undefined);
  const { stdout } = await server.run({
    purpose: "ask since when things are so",
    script: SCRIPT,
    stdin: `${asked.join("\n")}\n`,
    timeoutSeconds: 60,
  });
  const answers = stdout.split("\n");
  return questions.map((question) => (question ? readSeconds(answers.shift() ?? "") : undefined));
}

function readSeconds(text: string): Date | undefined {
  return /^\d+$/.test(text) ? new Date(Number(text) * 1000) : undefined;
}

/** Of a state of the host that no single file or unit holds, nothing tells. */
const OF_STATES: readonly (readonly [RegExp, Question])[] = [
  [/time-zone$/, ["file", "/etc/localtime"]],
  [/-clock$/, ["unit", "systemd-timesyncd.service"]],
  [/-docker-group$|-admin-/, ["file", "/etc/group"]],
  [/-swap$/, ["file", "/etc/fstab"]],
  [/^certificate/, ["file", "/opt/technicia/gateway/tls/fullchain.pem"]],
];

const OF_EXTRAS: readonly (readonly [RegExp, (name: string) => Question])[] = [
  [/^account (\S+)/, () => ["file", "/etc/passwd"]],
  [/^member (\S+)/, () => ["file", "/etc/group"]],
  [/^(?:key|sudo rule) .* in (\/\S+)$/, (path) => ["file", path]],
  [/^transient timer (\S+)$/, (name) => ["unit", name]],
  [/^listener \S+ \S*?:(\d+) /, (port) => ["process", port]],
  [/^container (\S+) of /, (name) => ["container", name]],
  [/^service (\S+) of /, (name) => ["service", name]],
  [/ (\/\S+)$/, (path) => ["file", path]],
];

function questionOf({ kind, type, what, resource, inputs, expected }: Difference): Question | undefined {
  const text = (key: string) => String(inputs[key]);
  if (kind === "extra") {
    for (const [pattern, question] of OF_EXTRAS) {
      const [, name] = pattern.exec(what) ?? [];
      if (name !== undefined) return question(name);
    }
    return undefined;
  }
  switch (type) {
    case "technicia:host:File":
      return ["file", text("path")];
    case "technicia:host:Unit":
      return ["unit", text("unit")];
    case "technicia:host:State":
      return OF_STATES.find(([pattern]) => pattern.test(resource))?.[1];
    case "technicia:host:Packages":
      return ["package", expected[0] ?? ""];
    case "docker:index/service:Service":
      return kind === "gone" ? ["event", "service", text("name")] : ["service", text("name")];
    case "docker:index/container:Container":
      return kind === "gone" ? ["event", "container", text("name")] : ["container", text("name")];
    case "docker:index/secret:Secret":
      return ["event", "secret", text("name")];
    case "docker:index/network:Network":
      return ["event", "network", text("name")];
    case "docker:index/volume:Volume":
      return ["event", "volume", text("name")];
    default:
      return undefined;
  }
}
