import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ensureAuthority, ensureCertificate } from "../../rehearsal/authority.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "authority-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("ensureCertificate", () => {
  it("issues certificates for several names at once, each with a number of its own", async () => {
    const directory = join(folder, "authority");
    const authority = new X509Certificate(await readFile(await ensureAuthority(directory)));
    const names = Array.from({ length: 12 }, (_, index) => `service-${index}.rehearsal`);
    const issued = await Promise.all(
      names.map((name) => ensureCertificate(directory, { name, names: [name] })),
    );
    const certificates = await Promise.all(
      issued.map(async ({ certificate }) => new X509Certificate(await readFile(certificate))),
    );

    expect(certificates.map(({ subjectAltName }) => subjectAltName)).toEqual(
      names.map((name) => `DNS:${name}`),
    );
    expect(certificates.every((certificate) => certificate.verify(authority.publicKey))).toBe(true);
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(names.length);
  });
});
