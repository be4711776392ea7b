import { describe, expect, it } from "vitest";

import { readEvents } from "../../../ops/engine/events.ts";
import { renderPreview } from "../../../ops/preview/markdown.ts";
import { redactDeep, redactor, secretsOfEnvironment } from "../../../ops/changes/redact.ts";
import { eventLog, reportOf, secretMark, stepEvent, type MadeStep } from "../preview/recorded.ts";

const CANARY = "canary-7f3a9c0e5b1d";
const NEXT = "canary-2b8e4d6f0a9c";

function render(...steps: MadeStep[]): string {
  return renderPreview(reportOf(steps.map(stepEvent).join("\n")));
}

const service = { chain: "docker:index/service:Service", name: "service", op: "update" };
const update = (path: string) => ({ [path]: { diffKind: "update", inputDiff: false } });

describe("a secret that the engine marked", () => {
  it.each<[string, MadeStep]>([
    [
      "in the inputs but not in the outputs",
      {
        ...service,
        detailedDiff: update("data"),
        old: { inputs: { data: secretMark() }, outputs: { data: CANARY } },
        new: { inputs: { data: NEXT } },
      },
    ],
    [
      "only after the change",
      {
        ...service,
        detailedDiff: update("data"),
        old: { inputs: { data: CANARY }, outputs: { data: CANARY } },
        new: { inputs: { data: secretMark() } },
      },
    ],
    [
      "above the property that changes",
      {
        ...service,
        detailedDiff: update("settings.user.name"),
        old: { inputs: { settings: { user: { name: CANARY } } }, outputs: { settings: secretMark() } },
        new: { inputs: { settings: { user: { name: NEXT } } } },
      },
    ],
    [
      "in a list that changes",
      {
        ...service,
        detailedDiff: update("list"),
        old: { inputs: { list: ["a", CANARY] }, outputs: { list: ["a", CANARY] } },
        new: { inputs: { list: ["b", secretMark()] } },
      },
    ],
    [
      "with its text beside the mark",
      {
        ...service,
        diffs: ["data"],
        old: { inputs: { data: secretMark({ plaintext: CANARY }) } },
        new: { inputs: { data: secretMark({ plaintext: NEXT }) } },
      },
    ],
    [
      "inside something new",
      { ...service, op: "create", new: { inputs: { a: { b: [secretMark({ value: CANARY }), "x"] } } } },
    ],
    [
      "inside something deleted",
      { ...service, op: "delete", old: { inputs: { a: secretMark({ value: CANARY }) } } },
    ],
    [
      "inside something deleted, marked in the outputs only",
      {
        ...service,
        op: "delete",
        old: { inputs: { a: { b: CANARY } }, outputs: { a: { b: secretMark() } } },
      },
    ],
  ])("is masked %s", (_where, step) => {
    const markdown = render(step);

    expect(markdown).toContain("[secret]");
    expect(markdown).not.toMatch(/canary/);
  });
});

describe("a secret by its name", () => {
  it.each([
    "PASSWORD",
    "N8N_BASIC_AUTH_PASSWORD",
    "apiKey",
    "VOYAGE_API_KEY",
    "clientSecret",
    "GITHUB_TOKEN",
    "privateKey",
    "credentials",
  ])("is masked under %s although nobody marked it", (name) => {
    const env = (value: string) => ({
      inputs: { env: { [name]: value, ZONE: value === CANARY ? "a" : "b" } },
    });
    const step = { ...service, old: { ...env(CANARY), outputs: env(CANARY).inputs }, new: env(NEXT) };

    for (const detailedDiff of [{ ...update(`env.${name}`), ...update("env.ZONE") }, update("env"), {}]) {
      const markdown = render({ ...step, detailedDiff });
      expect(markdown).toContain("`env.ZONE`");
      expect(markdown).toContain("[secret]");
      expect(markdown).not.toMatch(/canary/);
    }
    expect(render({ ...service, op: "create", new: env(CANARY) })).not.toMatch(/canary/);
  });

  it.each(["PASSWORD_FILE", "publicKey", "secretName", "keyType", "tokens"])("is not seen in %s", (name) => {
    const step = { ...service, diffs: [name] };

    expect(
      render({ ...step, old: { inputs: { [name]: "first" } }, new: { inputs: { [name]: "second" } } }),
    ).toMatch(/`first` \| `second`/);
  });
});

describe("redactor", () => {
  const googleKey = JSON.stringify(
    {
      type: "service_account",
      project_id: "technicia-prod",
      private_key_id: "0123456789abcdef0123",
      private_key:
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n",
    },
    null,
    2,
  );

  it.each<[string, string, string]>([
    ["alone", CANARY, CANARY],
    ["inside other text", CANARY, `postgres://n8n:${CANARY}@postgres/n8n`],
    ["in base64", CANARY, `Authorization: Basic ${Buffer.from(CANARY).toString("base64")}`],
    ["in an address", "a/b+c=d&canary", "https://x.example/?key=a%2Fb%2Bc%3Dd%26canary"],
    ["in JSON", 'a"b\ncanary-long', JSON.stringify({ value: 'a"b\ncanary-long' })],
    [
      "by one of its lines",
      `first-line-of-it-canary\nsecond-line-of-it-canary`,
      "x second-line-of-it-canary y",
    ],
    ["without the space around it", ` ${CANARY}\n`, `got ${CANARY}`],
    ["by a field of a key file", googleKey, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"],
  ])("takes a value out %s", (_where, secret, text) => {
    const cleaned = redactor([secret])(text);

    expect(cleaned).toContain("[secret]");
    expect(cleaned).not.toMatch(/canary|MIIEv/);
  });

  it("leaves the words of a key file that stand everywhere", () => {
    expect(redactor([googleKey])("project technicia-prod of technicia")).toBe(
      "project technicia-prod of technicia",
    );
  });

  it("leaves texts that hold no secret, and ignores values too short to be one", () => {
    expect(redactor(["test", ""])("stack test")).toBe("stack test");
  });

  it("reaches everything inside an event, names of properties included", () => {
    const value = { a: [CANARY, { [CANARY]: `x${CANARY}` }], n: 1, nothing: null };

    expect(redactDeep(value, redactor([CANARY]))).toEqual({
      a: ["[secret]", { "[secret]": "x[secret]" }],
      n: 1,
      nothing: null,
    });
  });

  it("keeps a recorded run as it is when nothing in it is secret", () => {
    const events = readEvents(eventLog("domain"));

    expect(redactDeep(events, redactor([CANARY]))).toEqual(events);
  });
});

describe("secretsOfEnvironment", () => {
  it("takes what is named like a secret", () => {
    const environment = {
      GITHUB_TOKEN: "ghs_1",
      PULUMI_CONFIG_PASSPHRASE: "open sesame",
      AWS_SECRET_ACCESS_KEY: "aws",
      PULUMI_ACCESS_TOKEN: "pul-1",
      PATH: "/bin",
      PULUMI_CONFIG_PASSPHRASE_FILE: "/run/passphrase",
    };

    expect(secretsOfEnvironment(environment)).toEqual(["ghs_1", "open sesame", "aws", "pul-1"]);
  });
});
