import { describe, expect, it } from "vitest";

import type { Check } from "../../../common/check.ts";
import { carryOut, failed, notChecked, ok, type Probe, summarize } from "../../../ops/checks/finding.ts";
import { UserError } from "../../../common/user-error.ts";
import { never, strong } from "./support.ts";

function carry(find: Probe["find"], limitSeconds = 5, signal = never): Promise<Check> {
  return carryOut({ id: "probe", title: "Essai", limitSeconds, find }, { signal, secrets: strong });
}

describe("carryOut", () => {
  it("gives what was found, with how long it took", async () => {
    const check = await carry(() => ok("vu", { p95Ms: 12 }));

    expect(check).toMatchObject({
      id: "probe",
      title: "Essai",
      outcome: "ok",
      detail: "vu",
      measures: { p95Ms: 12 },
    });
    expect(check.seconds).toBeTypeOf("number");
  });

  it("reports what was thrown as a failure", async () => {
    const refused = new TypeError("fetch failed", {
      cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
    });

    expect(await carry(() => Promise.reject(refused))).toMatchObject({
      outcome: "failed",
      detail: "ECONNREFUSED",
    });
    const inside = new UserError("could not look", { cause: new Error("other") });
    expect(await carry(() => Promise.reject(inside))).toMatchObject({
      outcome: "failed",
      detail: "could not look",
    });
  });

  it("reports a look that does not end as a failure, whether it heeds its signal or not", async () => {
    const check = await carry(() => new Promise(() => undefined), 0.05);

    expect(check).toMatchObject({ outcome: "failed", detail: "pas de réponse en 0.05 s" });
  });

  it("says of an interrupted look that nothing is known", async () => {
    const stop = new AbortController();
    const running = carry(
      (signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped")))),
      5,
      stop.signal,
    );
    stop.abort();

    expect(await running).toMatchObject({ outcome: "not-checked", detail: "interrompu" });
    expect(await carry(() => ok("vu"), 5, stop.signal)).toMatchObject({ outcome: "not-checked" });
  });

  it("never shows a secret, also when an error does", async () => {
    const check = await carry(() => Promise.reject(new Error(`bad key ${strong.voyageApiKey}!`)));

    expect(check).toMatchObject({ outcome: "failed", detail: "bad key [secret]!" });
    const { private_key: key } = JSON.parse(strong.googleCredentials) as { private_key: string };
    const all = await carry(() => ok(`${key} ${JSON.stringify(key)} ${strong.googleCredentials}`));
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
  ] as const)("is %s for %j", (outcome, parts, detail) => {
    expect(summarize(item, parts)).toEqual({ ...item, outcome, detail });
  });
});
