import { readFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";

import { COLLECTION } from "../../common/services.ts";
import { dockerDaemon } from "../../infra/host-files.ts";
import { KEPT } from "../../ops/backup/prune.ts";
import { RECORDS_FOLDER } from "../../common/release.ts";
import { backup } from "../../stacks/backup-schema.ts";
import { documents } from "../../stacks/documents-schema.ts";
import { monitoring } from "../../stacks/monitoring-schema.ts";
import { Sealed } from "../support/engine.ts";
import { deploy, everything, usual } from "../support/technicia.ts";

const read = (file: string) => readFile(new URL(`../../${file}`, import.meta.url), "utf8");

const text = await read("docs/personal-data.md");
const flat = text.replaceAll(/\s+/g, " ");

/** Store → what is kept, and for how long. */
const stores = new Map(
  [...text.matchAll(/^\| (?!store|-)([^|]+?) +\| ([^|]+?) +\| ([^|]+?) +\|$/gm)].map(
    ([, store = "", what = "", time = ""]) => [store.replaceAll("`", ""), { what, time }],
  ),
);

describe("the page about personal data", () => {
  it("has every volume of the program, and no other", async () => {
    const made = new Set<string>();
    for (const variant of [usual, everything])
      for (const { type, inputs } of (await deploy(variant)).registrations)
        if (type === "docker:index/volume:Volume") made.add(String(inputs["name"]));

    expect([...stores.keys()].filter((store) => store.startsWith("technicia-")).sort()).toEqual(
      [...made].sort(),
    );
  });

  it("names folders of the server that the programs write to", async () => {
    const state = /^STATE = pathlib\.Path\("([^"]+)"\)$/m.exec(
      await read("components/scripts/backup/base.py"),
    )?.[1];

    expect([...stores.keys()].filter((store) => store.startsWith("/"))).toEqual([RECORDS_FOLDER, state]);
  });

  it("says of every setting that it names the default", () => {
    const defaults: Readonly<Record<string, object>> = {
      monitoring: monitoring.parse(undefined),
      backup: backup.parse(undefined),
      documents: documents.parse(undefined),
    };
    const named = [...flat.matchAll(/`(monitoring|backup|documents)\.(\w+)` \((\d+) (?:days|GiB|hours?)\)/g)];

    expect(named.map(([, section, name]) => `${section}.${name}`).sort()).toEqual([
      ...["backup.hours", "backup.retentionDays", "documents.failedDays", "monitoring.logsDays"],
      ...["monitoring.logsMaxGib", "monitoring.metricsDays", "monitoring.metricsDays"],
    ]);
    for (const [, section = "", name = "", value] of named)
      expect(Number(value), `${section}.${name}`).toBe((defaults[section] as Record<string, unknown>)[name]);
  });

  it("says how long sets are kept as the prune keeps them", () => {
    const words = { h: "hours", d: "days", m: "months", y: "years" };
    const spans = Object.values(KEPT).map(
      (span) => `${span.slice(0, -1)} ${words[span.at(-1) as keyof typeof words]}`,
    );

    expect(flat).toContain(
      `the last set of each hour for ${spans[0]}, of each day for ${spans[1]}, of each week for ${spans[2]} and of each month for ${spans[3]}`,
    );
  });

  it("says how long n8n and the logs of the server keep what they have", async () => {
    const { registrations } = await deploy(usual);
    const n8n = JSON.stringify(registrations.find(({ name }) => name === "technicia-n8n-service")?.inputs);
    const journal = registrations
      .map(({ inputs }) => (inputs["content"] instanceof Sealed ? "" : String(inputs["content"])))
      .find((content) => content.startsWith("[Journal]"));
    const { "log-opts": logs } = JSON.parse(dockerDaemon()) as { "log-opts": Record<string, string> };

    expect(stores.get("technicia-n8n-data")?.time).toContain("14 days (336 hours)");
    expect(n8n).toContain('"EXECUTIONS_DATA_MAX_AGE":"336"');
    expect(n8n).toContain('"EXECUTIONS_DATA_SAVE_ON_SUCCESS":"none"');
    expect(stores.get("journal of the server")?.time).toBe("1 month, at most 500 MB");
    expect(journal).toContain("SystemMaxUse=500M\nMaxRetentionSec=1month");
    expect(stores.get("Docker's own logs")?.time).toContain("the last 50 MB");
    expect(Number.parseInt(logs["max-size"]!) * Number(logs["max-file"])).toBe(50);
    expect(stores.get("technicia-alerts-data")?.time).toContain("monitoring.metricsDays");
    const alerts = JSON.stringify((await deploy(everything)).resource("technicia-alerts-service").inputs);
    expect(alerts).toContain('"--data.retention=840h"');
  });

  it("erases by fields that the collection has an index of, in the collection that there is", () => {
    const keys = [...text.matchAll(/"key":"(\w+)"/g)].map(([, key]) => key);

    expect(keys.length).toBeGreaterThan(2);
    expect(keys.filter((key) => !Object.keys(COLLECTION.indexes).includes(key ?? ""))).toEqual([]);
    for (const [, name] of text.matchAll(/\/collections\/(\w+)\//g)) expect(name).toBe(COLLECTION.collection);
  });

  it("uses commands and options that exist", async () => {
    const commands = await read("docs/commands.md");
    const used = [...flat.matchAll(/npm run ([\w-]+)( [^`]*)?`/g)];

    expect(used.length).toBeGreaterThan(6);
    for (const [, name = "", rest = ""] of used) {
      const row = commands.split("\n").find((line) => line.startsWith(`| \`${name}\``)) ?? "";
      expect(row, name).not.toBe("");
      for (const [option] of rest.matchAll(/--[a-z][\w-]*/g))
        expect(row, `${name} ${option}`).toContain(option);
    }
  });

  it("is where people look for pages", async () => {
    for (const page of ["README.md", "CONTRIBUTING.md"])
      expect(await read(page), page).toContain("(docs/personal-data.md)");
  });
});
