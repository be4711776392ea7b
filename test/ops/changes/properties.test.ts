import { describe, expect, it } from "vitest";

import { renderPreview } from "../../../ops/preview/markdown.ts";
import { reportOf, secretMark, stepEvent, type MadeStep } from "../preview/recorded.ts";

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
