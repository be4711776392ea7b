import { readdirSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { silencesFor } from "../../common/planned-alerts.ts";
import { fingerprintOf } from "../../components/backup.ts";
import { reveal, Sealed } from "../support/engine.ts";
import { strongSecrets } from "../support/fixtures.ts";
import { deploy, everything, type Variant } from "../support/technicia.ts";

const SECRETS = strongSecrets();
const own: Variant = {
  settings: {
    backup: {
      bucket: { address: "https://s3.example.org", region: "eu-1", name: "ours" },
      hours: 6,
      maxAgeHours: 24,
      retentionDays: 7,
    },
  },
};

const content = (inputs: Readonly<Record<string, unknown>>) => {
  const given = inputs["content"];
  return String(given instanceof Sealed ? given.value : given);
};

describe("Backup", () => {
  it("writes every file of the program, and each is on the list of declared files", async () => {
    const { registrations } = await deploy(everything);
    const written = registrations
      .filter(({ name }) => name.startsWith("backup-program-"))
      .map(({ inputs }) => String(inputs["path"]).split("/").at(-1));
    const files = readdirSync(new URL("../../components/scripts/backup/", import.meta.url));

    expect(written.sort()).toEqual(files.filter((file) => file.endsWith(".py")).sort());
  });

  it("keeps every key in a file that only root reads, and none in another file or unit", async () => {
    const { registrations } = await deploy(everything);
    const files = registrations.filter(
      ({ name, type }) => name.startsWith("backup-") && type === "technicia:host:File",
    );
    const keys = files.filter(({ inputs }) => inputs["mode"] === "0400");
    const others = files.filter((file) => !keys.includes(file));
    const values = ["backupPassword", "qdrantApiKey", "n8nEncryptionKey"] as const;

    expect(keys.map(({ inputs }) => inputs["path"]).sort()).toEqual([
      "/etc/technicia/backup/password",
      "/etc/technicia/backup/qdrant-key",
      "/etc/technicia/backup/reader",
      "/etc/technicia/backup/writer",
    ]);
    for (const { inputs } of others)
      for (const name of values) expect(reveal(inputs)).not.toContain(SECRETS[name]);
  });

  it("names n8n's key by a fingerprint, which nobody can turn back", async () => {
    const { resource } = await deploy(everything);
    const settings = JSON.parse(content(resource("backup-settings").inputs)) as Record<string, unknown>;

    expect(settings["keyFingerprint"]).toBe(fingerprintOf(SECRETS.n8nEncryptionKey));
    expect(settings).toMatchObject({
      stack: "test",
      repository: "s3:https://s3.rbx.io.cloud.ovh.net/technicia-backup-test-0123456789ab/test",
      region: "rbx",
    });
  });

  it("gives a drill the alerts that it silences where the server is watched, and nothing elsewhere", async () => {
    const silenceIn = async (variant: Variant) =>
      (
        JSON.parse(content((await deploy(variant)).resource("backup-settings").inputs)) as {
          silence?: object;
        }
      ).silence;

    const unwatched = { ...own, settings: { ...own.settings, monitoring: { enabled: false } } };
    expect(await silenceIn(unwatched)).toBeUndefined();
    expect(await silenceIn(everything)).toEqual({
      address: "http://127.0.0.1:9093",
      comment: "planned: rehearsal of a restore",
      matchers: silencesFor({ kind: "drill" }),
    });
  });

  it("uses the operator's own bucket with the keys that belong to it", async () => {
    const { resource, registrations } = await deploy(own);

    expect(registrations.filter(({ name }) => name.startsWith("backup-storage"))).toEqual([]);
    expect(content(resource("backup-settings").inputs)).toContain('"s3:https://s3.example.org/ours/test"');
    const [id = "", secret = ""] = SECRETS.backupWriterKey.split(":");
    expect(content(resource("backup-writer").inputs)).toBe(
      `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`,
    );
    expect(content(resource("backup-timer").inputs)).toContain("OnCalendar=*-*-* 00/6:00:00\n");
  });

  it("starts with the services that it reads", async () => {
    const { waitsFor } = await deploy(everything);

    for (const service of ["technicia-n8n-service", "technicia-qdrant-service", "certificate-served"])
      expect(waitsFor("backup-schedule", service)).toBe(true);
  });

  it("runs at the lowest priority, and catches up on a run that the server slept through", async () => {
    const { resource } = await deploy(everything);

    expect(content(resource("backup-service").inputs)).toMatch(/^Nice=19\nIOSchedulingClass=idle$/m);
    expect(content(resource("backup-timer").inputs)).toContain("Persistent=true\n");
  });
});
