import { describe, expect, it } from "vitest";

import { Redactor } from "../../common/redactor.ts";
import { readEvents } from "../../ops/engine/events.ts";
import { eventLog } from "../ops/preview/recorded.ts";

const CANARY = "canary-7f3a9c0e5b1d";

function redactorOf(...secrets: string[]): Redactor {
  const redactor = new Redactor();
  redactor.hide(...secrets);
  return redactor;
}

describe("Redactor", () => {
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
    const cleaned = redactorOf(secret).clean(text);

    expect(cleaned).toContain("[secret]");
    expect(cleaned).not.toMatch(/canary|MIIEv/);
  });

  it("leaves the words of a key file that stand everywhere", () => {
    expect(redactorOf(googleKey).clean("project technicia-prod of technicia")).toBe(
      "project technicia-prod of technicia",
    );
  });

  it("hides a value from three characters on, inside other text as well", () => {
    expect(redactorOf("abc", "12", "").clean("xabcx exit code 12")).toBe("x[secret]x exit code 12");
  });

  it("hides what looks like a secret in a key file, whatever its name", () => {
    const file = JSON.stringify({ thumbprint: "0123456789abcdef0123456789abcdef", project: "technicia" });

    expect(redactorOf(file).clean("0123456789abcdef0123456789abcdef technicia")).toBe("[secret] technicia");
  });

  it("reaches everything inside an event, names of properties included", () => {
    const value = { a: [CANARY, { [CANARY]: `x${CANARY}` }], n: 1, nothing: null };

    expect(redactorOf(CANARY).cleanDeep(value)).toEqual({
      a: ["[secret]", { "[secret]": "x[secret]" }],
      n: 1,
      nothing: null,
    });
  });

  it("keeps a recorded run as it is when nothing in it is secret", () => {
    const events = readEvents(eventLog("domain"));

    expect(redactorOf(CANARY).cleanDeep(events)).toEqual(events);
  });

  it("hides a secret whole, by line, by word where asked, and encoded", () => {
    const redactor = new Redactor({ words: true });
    redactor.hide("api_key = correcthorse\nother: battery-staple\n");

    const text = redactor.clean(
      `near correcthorse; battery-staple; ${Buffer.from("api_key = correcthorse\nother: battery-staple\n").toString("base64")}; plain`,
    );

    expect(text).toBe("near [secret]; [secret]; [secret]; plain");
  });

  it("leaves no rest of a secret that contains another one", () => {
    const redactor = new Redactor();
    redactor.hide("hunter2");
    redactor.hide("hunter2-and-more");

    expect(redactor.clean("x hunter2-and-more y")).toBe("x [secret] y");
  });

  it("leaves text alone that is too short to be a secret", () => {
    const redactor = new Redactor();
    redactor.hide("1");

    expect(redactor.clean("exit code 1")).toBe("exit code 1");
  });
});
