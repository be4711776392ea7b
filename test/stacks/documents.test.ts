import { describe, expect, it } from "vitest";

import { environmentWith } from "../support/fixtures.ts";
import { deploy, everything } from "../support/technicia.ts";

const mountsOf = async (service: string) => {
  const { resource } = await deploy(everything);
  return JSON.stringify(resource(`technicia-${service}-service`).inputs);
};

describe("the files of documents", () => {
  it("need document-processor, without which nobody reads a PDF", () => {
    expect(() =>
      environmentWith({ documents: { enabled: true }, "services.documentProcessor.enabled": false }),
    ).toThrow(
      "services.documentProcessor.enabled: expected true, because documents.enabled is true, got false",
    );
  });

  it("are in one volume at one path of n8n and document-processor, and of no other service", async () => {
    const mount =
      '{"readOnly":false,"source":"technicia-documents-data","target":"/documents","type":"volume"}';

    for (const service of ["n8n", "document-processor"]) expect(await mountsOf(service)).toContain(mount);
    for (const service of ["vision-classifier", "vector-store", "n8n-runners"])
      expect(await mountsOf(service)).not.toContain("technicia-documents-data");
    expect(await mountsOf("n8n")).toContain('"N8N_RESTRICT_FILE_ACCESS_TO":"/documents"');
    // Two tasks of it write files of different names, so an update interrupts no upload.
    expect(await mountsOf("document-processor")).toContain('"order":"start-first"');
  });

  it("belong to n8n, with document-processor as the group, and are protected like other data", async () => {
    const { resource } = await deploy(everything);

    expect(resource("technicia-documents-folder").inputs["desired"]).toBe("1000:10001 2770");
    expect(resource("technicia-documents-data").protect).toBe(true);
  });

  it("take an ingestion for stopped only after the longest run of a workflow", async () => {
    const { resource } = await deploy(everything);
    const settings = JSON.parse(String(resource("technicia-documents-settings").inputs["content"])) as object;

    expect(settings).toMatchObject({ staleSeconds: 720, failedDays: 7, volume: "technicia-documents-data" });
  });
});
