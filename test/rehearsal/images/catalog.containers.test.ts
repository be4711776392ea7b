import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { type Release, RELEASES, renderSources } from "../../../rehearsal/images/base.ts";
import { OTHERS, OURS, RECIPES, SYSTEMS, USUAL_SYSTEM } from "../../../rehearsal/images/catalog.ts";
import { images } from "./container.ts";

const ROOT = join(import.meta.dirname, "../../..");
const FOLDER = join(ROOT, "rehearsal/images");

/** `technicia:images` of a committed settings file: setting → image. */
function committedImages(stack: string): Record<string, string> {
  const text = readFileSync(join(ROOT, `Pulumi.${stack}.yaml`), "utf8");
  const [, block = ""] = /^ {2}technicia:images:\n((?: {4}.*\n|\s*#.*\n)+)/m.exec(text) ?? [];
  return Object.fromEntries(
    [...block.matchAll(/^ {4}(\w+): (\S+)$/gm)].map(([, key = "", image = ""]) => [key, image]),
  );
}

/** The name by which an engine asks Docker Hub. */
function hubName(image: string): string {
  return image.includes("/") ? image : `library/${image}`;
}

/** Package → whether a hash pins its content. What a package bundles is covered by its own hash. */
function readNpmLock(text: string): Record<string, boolean> {
  const { packages } = JSON.parse(text) as {
    packages: Record<string, { integrity?: string; inBundle?: boolean }>;
  };
  const listed = Object.entries(packages).filter(([path, { inBundle }]) => path !== "" && inBundle !== true);
  return Object.fromEntries(
    listed.map(([path, { integrity }]) => [path, integrity?.startsWith("sha512-") === true]),
  );
}

function readPythonLock(text: string): Record<string, boolean> {
  const entries = text.split(/\n(?=[a-z])/i).filter((entry) => entry.includes("=="));
  return Object.fromEntries(
    entries.map((entry) => [entry.split("==")[0] ?? "", entry.includes("--hash=sha256:")]),
  );
}

describe("the catalogue", () => {
  it.each(["test", "staging", "prod"])(
    "offers every image of %s, or says which setting to change",
    async (stack) => {
      const { published, overrides } = await images();
      const committed = committedImages(stack);
      const wanted = Object.entries({ ...committed, ...overrides });

      expect(Object.keys(committed)).toContain("qdrant");
      expect(wanted.filter(([, image]) => published[hubName(image)] === undefined)).toEqual([]);
    },
  );

  it("has a recipe for every image that it offers", () => {
    const recipes = [
      ...Object.values(OURS),
      ...OTHERS.map(({ recipe }) => recipe),
      ...Object.values(SYSTEMS),
    ];

    expect(recipes.filter((recipe) => RECIPES[recipe] === undefined)).toEqual([]);
  });

  it("has a folder with a Dockerfile for every recipe", () => {
    const folders = Object.values(RECIPES).map(({ folder }) => folder);

    expect(folders.filter((folder) => !existsSync(join(FOLDER, folder, "Dockerfile")))).toEqual([]);
  });

  it("builds on its own images only", () => {
    const known = new Set([...Object.keys(RECIPES), ...Object.keys(RELEASES)]);
    const foundations = Object.values(RECIPES).flatMap(({ images: under }) => Object.values(under));

    expect(foundations.filter((name) => !known.has(name))).toEqual([]);
  });

  it("locks npm and Python packages by hash, without naming where they come from", () => {
    const locks = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter((path) =>
      /(package-lock\.json|requirements\.txt)$/.test(path),
    );

    expect(locks.sort()).toEqual([
      "certbot/requirements.txt",
      "n8n/package-lock.json",
      "node/package-lock.json",
      "python/requirements.txt",
    ]);
    for (const lock of locks) {
      const text = readFileSync(join(FOLDER, lock), "utf8");
      const packages = lock.endsWith(".json") ? readNpmLock(text) : readPythonLock(text);
      // Node's has one package for each processor and no other.
      const least = lock === "node/package-lock.json" ? 2 : 3;
      expect(Object.keys(packages).length).toBeGreaterThanOrEqual(least);
      expect(Object.entries(packages).filter(([, isHashed]) => !isHashed)).toEqual([]);
      expect(text).not.toContain('"resolved"');
    }
  });
});

describe("prepareImages", () => {
  it("makes no server image of another system than the usual one unless it is asked for", async () => {
    expect(Object.keys((await images()).systems)).toEqual([USUAL_SYSTEM]);
  });

  it("builds nothing the second time, and returns the same tags", async () => {
    const first = await images();
    const { prepareImages } = await import("../../../rehearsal/images/build.ts");
    const progress: string[] = [];
    const second = await prepareImages({ progress: (line) => progress.push(line) });

    expect(second).toEqual(first);
    expect(progress).toEqual([]);
  });

  it("names the two images of an update differently", async () => {
    const { published } = await images();

    expect(published["qdrant/qdrant:v1.19.1-unprivileged"]).not.toBe(
      published["qdrant/qdrant:v1.19.0-unprivileged"],
    );
    expect(published["technicia/vector-store:1.0.1"]).not.toBe(published["technicia/vector-store:1.0.0"]);
  });
});

describe("renderSources", () => {
  const machine = [
    { uri: "http://debian.example/debian/", suite: "bookworm" },
    { uri: "http://debian.example/debian/", suite: "bookworm-updates" },
    { uri: "http://debian.example/debian/", suite: "bookworm-backports" },
    { uri: "http://debian.example/security/", suite: "bookworm-security" },
  ];

  it.each<[Release, string]>([
    ["debian11", "bullseye"],
    ["debian12", "bookworm"],
    ["debian13", "trixie"],
  ])("takes the machine's places for %s, without its backports", (release, suite) => {
    expect(renderSources(machine, release)).toBe(
      [
        `deb http://debian.example/debian/ ${suite} main`,
        `deb http://debian.example/debian/ ${suite}-updates main`,
        `deb http://debian.example/security/ ${suite}-security main`,
        "",
      ].join("\n"),
    );
  });
});
