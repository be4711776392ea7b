import { describe, expect, it } from "vitest";

import type { Check } from "../../../common/check.ts";
import { failed, notChecked, ok, type Probe, runProbe, summarize } from "../../../ops/checks/probe.ts";
import { UserError } from "../../../common/user-error.ts";
import { unaborted, strong } from "./fixtures.ts";

function run(find: Probe["find"], { limitSeconds = 5, signal = unaborted } = {}): Promise<Check> {
  return runProbe({ id: "probe", title: "Essai", limitSeconds, find }, { signal, secrets: strong });
}

describe("runProbe", () => {
  it("gives the finding and the time that it took", async () => {
    const check = await run(() => ok("vu", { p95Ms: 12 }));

    expect(check).toMatchObject({
      id: "probe",
      title: "Essai",
      outcome: "ok",
      detail: "vu",
      measures: { p95Ms: 12 },
    });
    expect(check.seconds).toBeTypeOf("number");
  });

  it("fails with the reason when the probe throws", async () => {
    const refused = new TypeError("fetch failed", {
      cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
    });

    expect(await run(() => Promise.reject(refused))).toMatchObject({
      outcome: "failed",
      detail: "ECONNREFUSED",
    });
    const inside = new UserError("could not look", { cause: new Error("other") });
    expect(await run(() => Promise.reject(inside))).toMatchObject({
      outcome: "failed",
      detail: "could not look",
    });
  });

  it("fails when the probe exceeds its limit, even if the probe ignores its signal", async () => {
    const check = await run(() => new Promise(() => undefined), { limitSeconds: 0.05 });

    expect(check).toMatchObject({ outcome: "failed", detail: "pas de réponse en 0.05 s" });
  });

  it("is not checked when it is interrupted", async () => {
    const stop = new AbortController();
    const running = run(
      (signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped")))),
      { signal: stop.signal },
    );
    stop.abort();

    expect(await running).toMatchObject({ outcome: "not-checked", detail: "interrompu" });
    expect(await run(() => ok("vu"), { signal: stop.signal })).toMatchObject({ outcome: "not-checked" });
  });

  it("hides the secrets in an error's message", async () => {
    const check = await run(() => Promise.reject(new Error(`bad key ${strong.voyageApiKey}!`)));

    expect(check).toMatchObject({ outcome: "failed", detail: "bad key [secret]!" });
    const { private_key: key } = JSON.parse(strong.googleCredentials) as { private_key: string };
    const all = await run(() => ok(`${key} ${JSON.stringify(key)} ${strong.googleCredentials}`));
    expect(all.detail).toBe('[secret] "[secret]" [secret]');
  });
});

describe("summarize", () => {
  const item = { id: "item", title: "Élément" };
  const part = (title: string, found: Pick<Check, "outcome" | "detail">, isNeeded = true) => ({
    check: { id: title, title, ...found },
    isNeeded,
  });

  it.each([
    ["ok", [part("A", ok("")), part("B", ok(""))], "vérifié : A, B"],
    ["failed", [part("A", ok("")), part("B", failed("")), part("C", notChecked(""))], "en échec : B"],
    ["not-checked", [part("A", ok("")), part("B", notChecked(""))], "non vérifié : B"],
    ["ok", [part("A", ok("")), part("B", notChecked(""), false)], "vérifié : A ; sans objet ici : B"],
    ["failed", [part("A", ok("")), part("B", failed(""), false)], "en échec : B"],
    ["not-checked", [part("B", notChecked(""), false)], "rien à vérifier : aucun service n'est configuré"],
    ["not-checked", [], "rien à vérifier : aucun service n'est configuré"],
  ] as const)("is %s with the parts %j", (outcome, parts, detail) => {
    expect(summarize(item, parts)).toEqual({ ...item, outcome, detail });
  });
});
