import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { MAILPIT, OTHERS, OURS, RECIPES } from "../../../rehearsal/images/catalog.ts";
import { programVersion } from "../../../rehearsal/images/programs.ts";
import { sections } from "../../../stacks/settings-schema.ts";

const ROOT = join(import.meta.dirname, "../../..");
const FOLDER = join(ROOT, "rehearsal/images");
const LAST = OTHERS.filter(({ recipe }) => RECIPES[recipe]?.last === true);

/** The images of a committed settings file, with those that every environment has without naming them. */
function imagesOf(stack: string): string[] {
  const { config } = parse(readFileSync(join(ROOT, `Pulumi.${stack}.yaml`), "utf8")) as {
    config: Record<string, unknown>;
  };
  const others = new Set(["registry", "registryUser", "sources"]);
  return Object.entries(sections.images.parse(config["technicia:images"]))
    .filter(([setting]) => !others.has(setting))
    .flatMap(([, image]) => (typeof image === "string" ? [image] : []))
    .map((image) => (image.includes("/") ? image : `library/${image}`));
}

describe("the catalogue", () => {
  it.each(["test", "staging", "prod"])("has every image that %s names", (stack) => {
    const offered = new Set([...OTHERS.map(({ name }) => name), ...Object.keys(OURS)]);

    expect(imagesOf(stack).filter((image) => !offered.has(image))).toEqual([]);
  });

  it("makes visitors wait for no image of the monitoring", () => {
    expect(LAST.map(({ name }) => name)).toEqual([
      "victoriametrics/victoria-metrics:v1.151.0",
      "victoriametrics/victoria-logs:v1.52.1",
      "victoriametrics/vmalert:v1.151.0",
      "prom/alertmanager:v0.28.1",
      "prom/blackbox-exporter:v0.26.0",
    ]);
  });

  it("builds nothing that visitors wait for on what comes last", () => {
    const below = Object.values(RECIPES)
      .filter(({ last }) => last !== true)
      .flatMap(({ images }) => Object.values(images));

    expect(below.filter((name) => RECIPES[name]?.last === true)).toEqual([]);
  });

  it.each([...LAST, MAILPIT])(
    "puts the version into $name that the name promises",
    async ({ name, recipe }) => {
      const { program, values } = RECIPES[recipe] ?? {};
      const version = program === undefined ? `v${values?.["VERSION"] ?? ""}` : await programVersion(program);

      expect(name).toBe(`${name.split(":")[0] ?? ""}:${version}`);
    },
  );

  it("pins the modules of every program that is built here", () => {
    const locked = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith("/go.mod"))
      .map((path) => path.replace(/\/go\.mod$/, ""));

    expect(locked.sort()).toEqual([
      "mailpit/source",
      "monitoring/victoria-logs/source",
      "monitoring/victoria-metrics/source",
    ]);
    for (const folder of locked) {
      expect(readFileSync(join(FOLDER, folder, "go.mod"), "utf8")).not.toMatch(/^replace /m);
      expect(existsSync(join(FOLDER, folder, "go.sum")), folder).toBe(true);
    }
  });
});
