import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { fillCredentials, parseCredentials } from "../../../stacks/workflows/credential.ts";
import { readContent } from "../../../stacks/workflows/folder.ts";
import { readKnownNodes } from "../../../stacks/workflows/known-nodes.ts";
import { environmentWith, strongSecrets } from "../../support/fixtures.ts";

const known = await readKnownNodes("2.3.6");
const judge = (content: unknown) =>
  parseCredentials(content, { file: "workflows/credentials.yaml", stack: "test", known });
const problems = (content: unknown) => judge(content).problems.map(({ path, text }) => `${path}: ${text}`);
const one = (type: string, data: object) => ({ "technicia-one": { name: "One", type, data } });

const EVERY_KIND = {
  anthropic: {
    name: "Anthropic",
    type: "anthropicApi",
    data: { apiKey: { secret: "anthropicApiKey" }, url: "https://api.anthropic.com" },
  },
  voyage: {
    name: "VoyageAI",
    type: "httpHeaderAuth",
    data: { name: "Authorization", value: { secret: "voyageApiKey", prefix: "Bearer " } },
  },
  basic: {
    name: "Services",
    type: "httpBasicAuth",
    data: { user: "technicia", password: { secret: "qdrantApiKey" } },
  },
  qdrant: {
    name: "Qdrant",
    type: "qdrantApi",
    data: { qdrantUrl: "http://qdrant:6333", apiKey: { secret: "qdrantApiKey" } },
  },
  google: {
    name: "Google",
    type: "googleApi",
    data: {
      region: "europe-west1",
      email: { secret: "googleCredentials", field: "client_email" },
      privateKey: { secret: "googleCredentials", field: "private_key" },
    },
  },
};

describe("credentials.yaml", () => {
  it("fills every kind from the stack's secrets, with the ids that nodes name", () => {
    const secrets = strongSecrets();
    const { credentials, problems } = judge(EVERY_KIND);
    const { filled, problems: missing } = fillCredentials(credentials, { secrets, stack: "test" });

    expect([problems, missing]).toEqual([[], []]);
    expect(filled.map(({ id, type }) => `${id} ${type}`)).toEqual([
      "anthropic anthropicApi",
      "voyage httpHeaderAuth",
      "basic httpBasicAuth",
      "qdrant qdrantApi",
      "google googleApi",
    ]);
    expect(filled[0]!.data).toEqual({ apiKey: secrets.anthropicApiKey, url: "https://api.anthropic.com" });
    expect(filled[1]!.data["value"]).toBe(`Bearer ${secrets.voyageApiKey}`);
    expect(filled[4]!.data).toMatchObject({
      email: "technicia@technicia-1234.iam.gserviceaccount.com",
      privateKey: expect.stringContaining("BEGIN PRIVATE KEY") as string,
    });
  });

  it("never has a value in clear, and never repeats one", () => {
    const value = "sk-ant-api03-0123456789abcdef";
    const found = problems(one("anthropicApi", { apiKey: value }));

    expect(found).toEqual([
      expect.stringMatching(
        /^workflows\/credentials\.yaml: technicia-one\.data\.apiKey: expected the name of a secret, such as \{ secret: anthropicApiKey \}, got a value in clear, which has to count as known; .+ pulumi config set --secret technicia:<name> --stack test$/,
      ),
    ]);
    expect(problems(one("anthropicApi", { apiKey: { secret: value } })).join()).not.toContain(value);
    expect(problems(one("anthropicApi", { [value]: "x" })).join()).not.toContain(value);
    expect(problems(one("anthropicApi", { apiKey: [value] })).join()).not.toContain(value);
    expect(problems({ "technicia-one": value }).join()).not.toContain(value);
  });

  it.each([
    ["n8nEncryptionKey", "got n8nEncryptionKey, which is none of n8n's business"],
    ["ovhApplicationKey", "got ovhApplicationKey, which is none of n8n's business"],
    ["claude", "got something else"],
  ])("gives n8n no secret such as %s", (secret, reason) => {
    expect(problems(one("anthropicApi", { apiKey: { secret } }))).toEqual([
      expect.stringMatching(
        `^workflows/credentials.yaml: technicia-one.data.apiKey.secret: expected the name of a secret \\(.+\\), ${reason}; `,
      ),
    ]);
  });

  it.each([
    [
      one("claudeApi", {}),
      'technicia-one.type: expected a type of credentials that n8n 2.3.6 knows, got "claudeApi"',
    ],
    [
      one("anthropicApi", { key: "x" }),
      "technicia-one.data.key: expected a field of anthropicApi (apiKey, url, ",
    ],
    [{ "a b": EVERY_KIND.anthropic }, "a b: expected an id of at most 36 letters"],
    [{ x: { type: "anthropicApi", data: {} } }, "x.name: expected a name"],
    [
      { x: { ...EVERY_KIND.anthropic, password: "y" } },
      "x: expected name, type and data only, got another key",
    ],
    ["text", "workflows/credentials.yaml: "],
  ])("says what is wrong with %j", (content, reason) => {
    expect(problems(content).join("\n")).toContain(reason);
  });

  it("needs secrets that are set, and the field of one that is JSON", () => {
    const { credentials } = judge({ anthropic: EVERY_KIND.anthropic, google: EVERY_KIND.google });
    const { problems } = fillCredentials(credentials, {
      secrets: { googleCredentials: "{}" },
      stack: "test",
    });

    expect(problems.map(({ path, text }) => `${path}: ${text}`)).toEqual([
      "credentials.yaml: anthropic.data.apiKey: expected the secret anthropicApiKey to be set, got nothing; set it with pulumi config set --secret technicia:anthropicApiKey --stack test",
      expect.stringContaining(
        "google.data.email: expected the secret googleCredentials to be JSON with the field client_email, got none",
      ),
      expect.stringContaining("google.data.privateKey: expected"),
    ]);
  });
});

describe("the folder's credentials", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "technicia-check-"));
    await cp(fileURLToPath(new URL("../../../workflows", import.meta.url)), folder, { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true }));

  const check = async (yaml: string) => {
    await writeFile(join(folder, "credentials.yaml"), yaml);
    const { problems } = await readContent(
      { path: folder, folder: "workflows" },
      environmentWith({ documents: { enabled: true } }),
    );
    return problems.map(({ path, text }) => `${path}: ${text}`);
  };

  it("have to declare what nodes name, of the same type and name", async () => {
    const yaml = (id: string, type: string, name: string) =>
      `${id}: { type: ${type}, name: ${name}, data: {} }\n`;
    const undeclared = await check(yaml("autre", "anthropicApi", "Anthropic"));

    expect(undeclared).toHaveLength(3);
    expect(undeclared[0]).toContain(
      'Claude.credentials.anthropicApi: expected the id of credentials in workflows/credentials.yaml (autre), got "technicia-anthropic"; declare them there',
    );
    expect((await check(yaml("technicia-anthropic", "httpHeaderAuth", "Anthropic")))[0]).toContain(
      "expected credentials of the type anthropicApi",
    );
    expect((await check(yaml("technicia-anthropic", "anthropicApi", "Claude")))[0]).toContain(
      'expected "Claude", as technicia-anthropic is called',
    );
  });

  it("that are no YAML are one problem, which does not show the line", async () => {
    const found = await check('technicia-anthropic: { apiKey: "sk-ant-0123456789\n  other: [');

    expect(found).toEqual([
      expect.stringMatching(
        /^workflows\/credentials\.yaml: expected YAML, got something else \([A-Z_]+\); correct the text$/,
      ),
    ]);
  });
});
