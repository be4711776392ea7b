import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { entryOf, secretNames } from "../../secrets/catalog.ts";
import { settingNames, parseSettings, SettingsError } from "../../stacks/settings.ts";
import { change, publicKey, type Settings } from "../support/fixtures.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";
import { alertThresholds } from "../../stacks/thresholds-schema.ts";

const STACKS = ["test", "staging", "prod"];

interface Declaration {
  readonly type?: string;
  readonly description?: string;
  readonly secret?: boolean;
  readonly default?: unknown;
}

function read(file: string): Settings {
  return parse(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")) as Settings;
}

/** The committed settings of a stack, keyed without namespace. */
function committed(stack: string): Settings {
  const { config } = read(`Pulumi.${stack}.yaml`) as { config: Record<string, unknown> };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key.replace(/^technicia:/, ""), value]),
  );
}

/** What the comment at the top of each file tells the user to set. */
function withAnswers(settings: Settings): Settings {
  change(settings, "domain", "technicia.exemple.fr");
  change(settings, "adminEmail", "vous@exemple.fr");
  change(settings, "server.serviceName", "vps-1a2b3c4d.vps.ovh.net");
  change(settings, "ssh.publicKey", publicKey);
  change(settings, "ssh.adminCidrs.v4", ["198.51.100.7/32"]);
  change(settings, "dns.zone", "exemple.fr");
  change(settings, "dns.zoneId", "0123456789abcdef0123456789abcdef");
  change(settings, "backup.project", "0123456789abcdef0123456789abcdef");
  change(settings, "services.documentProcessor.project", "technicia-123456");
  change(settings, "services.documentProcessor.location", "eu");
  change(settings, "services.documentProcessor.processorId", "0123456789abcdef");
  return settings;
}

function missing(stack: string): string[] {
  try {
    parseSettings(stack, committed(stack));
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.message
      .split("\n  ")
      .slice(1)
      .map((line) => line.split(": ")[0]!)
      .sort();
  }
  return [];
}

describe("Pulumi.<stack>.yaml", () => {
  it.each(STACKS)("of %s lacks exactly the values that only the user knows", (stack) => {
    expect(missing(stack)).toEqual([
      "technicia:adminEmail",
      "technicia:backup.project",
      "technicia:dns.zone",
      "technicia:dns.zoneId",
      "technicia:domain",
      "technicia:server",
      "technicia:services.documentProcessor.location",
      "technicia:services.documentProcessor.processorId",
      "technicia:services.documentProcessor.project",
      "technicia:ssh.adminCidrs.v4",
      "technicia:ssh.publicKey",
    ]);
  });

  it.each(STACKS)("of %s is valid once the user's values are set", (stack) => {
    expect(parseSettings(stack, withAnswers(committed(stack))).name).toBe(stack);
  });

  // A promotion and an upgrade of an image write into these lines.
  it.each(STACKS)("of %s has a line for every image", (stack) => {
    const images = Object.keys(parseSettings(stack, withAnswers(committed(stack))).images);
    expect(Object.keys(committed(stack)["images"] as object).sort()).toEqual(images.sort());
  });

  it.each(STACKS)("of %s lists the command for every such value", (stack) => {
    const text = readFileSync(new URL(`../../Pulumi.${stack}.yaml`, import.meta.url), "utf8");
    const told = [
      ...text.matchAll(/pulumi config set (?:--path )?'?technicia:([\w.]+)\S* .*--stack (\w+)$/gm),
    ];

    expect(told.map(([, path]) => path)).toEqual([
      "domain",
      "adminEmail",
      "server.serviceName",
      "server.order.subsidiary",
      "server.order.maxMonthlyPriceEur",
      "ssh.publicKey",
      "ssh.adminCidrs.v4",
      "dns.zone",
      "dns.zoneId",
      "backup.project",
      "services.documentProcessor.project",
      "services.documentProcessor.location",
      "services.documentProcessor.processorId",
      "monitoring.mail.host",
      "monitoring.mail.from",
      "monitoring.mail.user",
    ]);
    expect(new Set(told.map(([, , name]) => name))).toEqual(new Set([stack]));
  });

  it.each(STACKS)("of %s names what makes alerts reach somebody", (stack) => {
    const text = readFileSync(new URL(`../../Pulumi.${stack}.yaml`, import.meta.url), "utf8");
    const [head = ""] = text.split("\nconfig:");

    for (const name of [
      "monitoring.mail",
      "monitoring.escalation",
      "monitoring.receivers.slack",
      ".webhooks",
    ])
      expect(head).toContain(name);
  });

  it.each(STACKS)("of %s fits its server with every service on", (stack) => {
    const settings = withAnswers(committed(stack));
    change(settings, "services.n8n.database", "postgres");
    for (const name of ["n8nRunners", "documentProcessor", "visionClassifier", "frontend"]) {
      change(settings, `services.${name}.enabled`, true);
    }
    change(settings, "services.documentProcessor.project", "technicia-1234");
    change(settings, "services.documentProcessor.location", "eu");
    change(settings, "services.documentProcessor.processorId", "0123456789abcdef");

    expect(parseSettings(stack, settings).services.n8n.database).toBe("postgres");
  });

  it("protects the data of every environment except test", () => {
    const kept = STACKS.map((stack) => parseSettings(stack, withAnswers(committed(stack))).protectData);

    expect(kept).toEqual([false, true, true]);
  });

  it("allows deployments to production on three mornings a week, and to the others at any time", () => {
    const windows = STACKS.map(
      (stack) => parseSettings(stack, withAnswers(committed(stack))).operations.window,
    );

    expect(windows).toEqual([
      undefined,
      undefined,
      { days: ["tuesday", "wednesday", "thursday"], fromUtc: "09:00", toUtc: "12:00" },
    ]);
  });

  it("has production observe a release for five minutes, staging for two, and test not at all", () => {
    const seconds = STACKS.map(
      (stack) => parseSettings(stack, withAnswers(committed(stack))).monitoring.observation.seconds,
    );

    expect(seconds).toEqual([0, 120, 300]);
  });

  it("sets the promised thresholds for production", () => {
    expect(releaseLimits(parseSettings("prod", withAnswers(committed("prod"))))).toEqual({
      errorRatio: 0.01,
      p50Ms: 500,
      p95Ms: 2000,
      p99Ms: 5000,
      requestsPerSecond: 100,
      rollbackSeconds: 300,
      ...{ loadSeconds: 30, certificateDays: 10, diskFreePercent: 20, memoryUsedPercent: 85 },
    });
  });

  it("judges a release in test more mildly, and its alerts as in production", () => {
    const [test, , prod] = STACKS.map((stack) => parseSettings(stack, withAnswers(committed(stack))));

    expect(releaseLimits(test!)).toMatchObject({ errorRatio: 0.05, p95Ms: 3000, requestsPerSecond: 20 });
    expect(alertThresholds(test!.monitoring.thresholds)).toEqual(
      alertThresholds(prod!.monitoring.thresholds),
    );
  });

  it("contains no secret", () => {
    for (const stack of STACKS) {
      expect(Object.keys(committed(stack)).filter((key) => secretNames.includes(key as never))).toEqual([]);
    }
  });
});

describe("Pulumi.yaml", () => {
  const declared = read("Pulumi.yaml")["config"] as Record<string, Declaration>;

  it("declares exactly the settings of the schema and the secrets of the catalogue", () => {
    expect(Object.keys(declared).sort()).toEqual([...settingNames, ...secretNames].sort());
  });

  it("describes every key, and every setting's type", () => {
    for (const [name, { description, type }] of Object.entries(declared)) {
      expect(description, name).toMatch(/^.{10,}$/);
      if (settingNames.includes(name as never))
        expect(type, name).toMatch(/^(string|integer|boolean|object|array)$/);
    }
  });

  it("marks exactly the secrets as such, in the catalogue's words", () => {
    const secrets = Object.entries(declared).filter(([, { secret }]) => secret === true);

    expect(secrets.map(([name]) => name).sort()).toEqual([...secretNames].sort());
    for (const name of secretNames) expect(declared[name]?.description).toBe(entryOf(name).description);
  });

  it("gives a default to every setting that a committed stack leaves out", () => {
    // The engine demands the others, with a shorter message than ours and for every command.
    const demanded = settingNames.filter((name) => declared[name] && !("default" in declared[name]));
    for (const stack of STACKS)
      expect(Object.keys(committed(stack)), stack).toEqual(expect.arrayContaining(demanded));
  });

  it("gives no default to what may lose data", () => {
    expect(declared["protectData"]).not.toHaveProperty("default");
  });
});
