import type { Nodes, Table } from "mdast";
import remarkGfm from "remark-gfm";
import remarkParse from "remark-parse";
import { unified } from "unified";
import { describe, expect, it } from "vitest";

import type { Change } from "../../../ops/changes/changes.ts";
import {
  block,
  clip,
  code,
  GITHUB_LIMIT,
  renderPreview,
  type Bounds,
} from "../../../ops/preview/markdown.ts";
import { diffText, eventLog, manyDeletions, reportOf } from "./recorded.ts";

const COMMENT: Bounds = { length: GITHUB_LIMIT, value: 200, whole: "preview.md" };

function parse(markdown: string): Nodes {
  return unified().use(remarkParse).use(remarkGfm).parse(markdown);
}

/** What a reader sees, without markup. */
function textOf(node: Nodes): string {
  if ("value" in node) return node.type === "html" ? "" : node.value;
  return "children" in node ? node.children.map((child: Nodes) => textOf(child)).join("") : "";
}

function all(node: Nodes, type: Nodes["type"]): Nodes[] {
  const below = "children" in node ? node.children.flatMap((child: Nodes) => all(child, type)) : [];
  return node.type === type ? [node, ...below] : below;
}

function rowsOf(markdown: string): string[][] {
  const [table] = all(parse(markdown), "table") as Table[];
  return (table?.children ?? []).map((row) => row.children.map(textOf));
}

function withValue(value: string, name = "record"): string {
  const change: Change = {
    layer: "dns",
    label: "DNS record",
    name,
    kind: "update",
    properties: [
      {
        path: "content",
        before: { kind: "text", lines: [value] },
        after: { kind: "none" },
        replaces: false,
      },
    ],
  };
  return renderPreview(reportOf("", { changes: [change] }), COMMENT);
}

const NASTY = [
  "a | b",
  "\\| and \\\\| and \\",
  "`tick` and ``two``",
  "`",
  " padded ",
  "   ",
  "<script>alert(1)</script>",
  "<!-- technicia-preview:prod -->",
  "@octocat and @org/team",
  "#1 and GH-1 and :smile:",
  "[link](https://evil.example) ![x](https://evil.example/x.png)",
  "https://evil.example www.evil.example a@b.example",
  "*bold* _under_ ~~gone~~ $x^2$",
  "&amp; &#124; &lt;",
  "```\ninside\n```".replaceAll("\n", " "),
  "</details>",
  "| --- |",
  "- item",
  "1. item",
  "> quote",
];

describe("code", () => {
  it.each(NASTY)("shows %s as it is, in a cell of a table, and interprets nothing of it", (value) => {
    const markdown = withValue(value);

    expect(rowsOf(markdown)[1]?.[4]).toBe(value);
    const tree = parse(markdown);
    expect(
      ["link", "image", "strong", "emphasis", "delete"].flatMap((type) => all(tree, type as "link")),
    ).toEqual([]);
    expect(all(tree, "html").map((node) => "value" in node && node.value)).toEqual([]);
  });

  it("shows any text made of the characters that Markdown knows", () => {
    const alphabet = [
      "|",
      "\\",
      "`",
      " ",
      "a",
      "<",
      ">",
      "*",
      "_",
      "[",
      "]",
      "(",
      ")",
      "!",
      "@",
      "&",
      ";",
      "~",
    ];
    // A fixed sequence that looks random: the same texts in every run.
    let seed = 1;
    const next = () => (seed = (seed * 48_271) % 2_147_483_647);
    for (let round = 0; round < 500; round++) {
      const value = Array.from({ length: 1 + (next() % 12) }, () => alphabet[next() % alphabet.length]).join(
        "",
      );
      expect(rowsOf(withValue(value))[1]?.[4]).toBe(value);
    }
  });

  it("shows the name of a resource as it is", () => {
    for (const name of NASTY) expect(rowsOf(withValue("x", name))[1]?.[1]).toBe(`DNS record ${name}`);
  });

  it("replaces invisible characters", () => {
    expect(code("a\u202Eb\u0007c\u200F")).toBe("`a�b�c�`");
    expect(code("a\r\nb\nc\td")).toBe("`a↵b↵c  d`");
    expect(code("")).toBe('`""`');
  });
});

describe("block", () => {
  it("ends only at its own end", () => {
    const lines = ["```", "````text", "</details>", "end"];
    const [fenced, ...rest] = all(parse(`${block(lines)}\n\nafter`), "code");

    expect(fenced).toMatchObject({ value: lines.join("\n") });
    expect(rest).toEqual([]);
  });
});

describe("clip", () => {
  it("adds how much is missing and splits no character", () => {
    expect(clip("abcdef", 6)).toBe("abcdef");
    expect(clip("abcdefg", 6)).toBe("abcdef… (+1)");
    expect(clip("abc😀def", 4)).toBe("abc… (+5)");
  });
});

describe("renderPreview", () => {
  it("begins with the number of resources for each kind of change", () => {
    const lines = renderPreview(reportOf(eventLog("domain"))).split("\n");

    expect(lines[0]).toBe(
      "### Preview of `test`: 2 to create, 11 to update, 3 to replace, 2 to delete, 60 unchanged",
    );
    expect(lines[2]).toBe("Commit `0123abc`.");
  });

  it("says that nothing changes", () => {
    const report = reportOf(eventLog("firewall"));

    expect(renderPreview(report)).toContain("### Preview of `test`: nothing changes\n");
    expect(renderPreview(report)).not.toContain("CAUTION");
  });

  it("says whether the host was looked at", () => {
    const sentence = "The host was not read";

    expect(renderPreview(reportOf("", { refreshed: false }))).toContain(sentence);
    expect(renderPreview(reportOf("", { refreshed: true }))).not.toContain(sentence);
  });

  it("puts what cannot be undone before everything else", () => {
    const markdown = renderPreview(reportOf(eventLog("destroy"), { diff: diffText("destroy") }));

    const banner = markdown.indexOf("> [!CAUTION]");
    expect(banner).toBeGreaterThan(0);
    expect(banner).toBeLessThan(markdown.indexOf("| Layer |"));
    expect(markdown).toContain("> - `technicia-qdrant-storage` is deleted: what this volume holds is lost\n");
  });

  it("shows a version bump in one row, from the one image to the other", () => {
    const rows = rowsOf(renderPreview(reportOf(eventLog("bump"))));

    expect(rows).toContainEqual([
      "Containers",
      "container service technicia-vector-store-service",
      "update",
      "taskSpec.containerSpec.image",
      "technicia/vector-store:1.0.0@sha256:7336523dc29f2be3ea41c200c8110fd19d89d5fa0fbc6f9453f87470b2065abc",
      "technicia/vector-store:1.0.1",
    ]);
  });

  it("gives each new or deleted resource one row with what distinguishes it", () => {
    const rows = rowsOf(renderPreview(reportOf(eventLog("domain"))));
    const zone = "zoneId: 221c209f04e3505ad51f2670163ed13f";
    const record = (address: string, name: string, type: string) =>
      `content: ${address}, name: ${name}.technicia.example, proxied: false, ttl: 300, type: ${type}, ${zone}`;

    expect(rows).toContainEqual([
      "DNS",
      "DNS record dns-other-a",
      "create",
      "–",
      "–",
      record("198.18.113.10", "other", "A"),
    ]);
    expect(rows).toContainEqual([
      "DNS",
      "DNS record dns-test-aaaa",
      "delete",
      "–",
      record("2001:db8:113::10", "test", "AAAA"),
      "–",
    ]);
    expect(rows).toContainEqual([
      "DNS",
      "reverse name dns-reverse-v4",
      "replace, because of this",
      "ReverseValue",
      "test.technicia.example.",
      "other.technicia.example.",
    ]);
  });

  it("folds the engine's whole diff away", () => {
    const markdown = renderPreview(reportOf(eventLog("bump"), { diff: diffText("bump") }));

    expect(markdown).toContain(
      "<details>\n<summary>The engine's full diff</summary>\n\n```text\nPreviewing update (test):",
    );
    const [fenced] = all(parse(markdown), "code");
    expect(fenced && textOf(fenced)).toBe(diffText("bump").trimEnd().replaceAll("\t", "  "));
  });

  it("shows why there is no preview, and nothing that could be taken for one", () => {
    const report = reportOf(eventLog("firewall"), {
      failure: "pulumi preview failed",
      diff: diffText("firewall"),
    });

    const markdown = renderPreview(report, COMMENT);
    expect(markdown).toMatch(/^### Preview of `test`: failed\n/);
    expect(markdown).toContain(
      'technicia:ssh.adminCidrs.v4[0]: expected an IPv4 range no wider than /8, because a wider one lets the whole internet try, got "0.0.0.0/1"',
    );
    expect(markdown).not.toContain("unchanged");
    expect(markdown).not.toContain("full diff");
  });

  it("shows the failure itself when the engine printed nothing", () => {
    const markdown = renderPreview(reportOf("", { failure: "pulumi: expected a login" }), COMMENT);

    expect(markdown).toContain("```text\npulumi: expected a login\n```");
  });
});

describe("the rules in a preview", () => {
  const broken = {
    rule: "published-ports",
    refuses: true,
    resource: "technicia-qdrant-service",
    text: "Only the gateway is published.\nendpointSpec.ports[0]: expected 80 or 443; close it",
  };
  const noted = { rule: "exceptions", refuses: false, resource: "", text: "until 2026-12-24: a | b" };

  it("are named when they refuse it, instead of the engine's own words", () => {
    const report = reportOf("", { violations: [broken, noted], failure: "pulumi preview failed" });

    const markdown = renderPreview(report, COMMENT);
    expect(markdown).toContain(
      "- refused by `published-ports` `technicia-qdrant-service`: `Only the gateway is published.` " +
        "`endpointSpec.ports[0]: expected 80 or 443; close it`",
    );
    expect(markdown).toContain("- noted by `exceptions`: ");
    expect(markdown).toMatch(/Nothing can be deployed until this is fixed\.$/);
    expect(markdown).not.toContain("preview failed");
  });

  it("stand before the changes when they only note something", () => {
    const markdown = renderPreview(reportOf(eventLog("bump"), { violations: [noted] }), COMMENT);

    expect(markdown.indexOf("noted by")).toBeGreaterThan(0);
    expect(markdown.indexOf("noted by")).toBeLessThan(markdown.indexOf("| Layer |"));
  });

  it("do not hide why the program failed", () => {
    const report = reportOf(eventLog("firewall"), { violations: [broken], failure: "pulumi preview failed" });

    const markdown = renderPreview(report, COMMENT);
    expect(markdown).toContain("- refused by `published-ports`");
    expect(markdown).toContain("expected an IPv4 range no wider than /8");
    expect(markdown).toMatch(/What would change is unknown until this is fixed\.$/);
  });

  it("are counted where a comment has no room for them", () => {
    const violations = Array.from({ length: 500 }, (_, index) => ({
      ...broken,
      resource: `service-${index}`,
    }));
    const markdown = renderPreview(reportOf("", { violations, failure: "failed" }), COMMENT);

    expect(markdown.length).toBeLessThanOrEqual(COMMENT.length);
    expect(markdown).toMatch(/\d+ rules/);
  });
});

describe("renderPreview within GitHub's limit", () => {
  it("keeps a small preview whole", () => {
    const report = reportOf(eventLog("bump"), { diff: diffText("bump") });

    expect(renderPreview(report, COMMENT)).not.toContain("Left out here");
  });

  it("cuts 200 changes with a long diff, and says how much of what is missing", () => {
    const diff = diffText("destroy").repeat(4);
    const report = reportOf(manyDeletions(200), { diff });

    const markdown = renderPreview(report, COMMENT);
    expect(markdown.length).toBeLessThanOrEqual(GITHUB_LIMIT);
    expect(markdown.length).toBeGreaterThan(GITHUB_LIMIT * 0.9);
    expect(markdown).toContain("### Preview of `test`: 200 to delete\n");
    const rows = rowsOf(markdown).length - 1;
    const [, left] =
      /^Left out here: (?:(\d+) rows?, )?(\d+) lines of the diff; the full preview is in preview\.md\.$/m
        .exec(markdown)
        ?.slice(0) ?? [];
    expect(rows + Number(left ?? 0)).toBe(200);
    const shown = all(parse(markdown), "code").map((node) => textOf(node).split("\n").length);
    const [, , lines] = /Left out here: (?:(\d+) rows?, )?(\d+) lines/.exec(markdown) ?? [];
    expect((shown[0] ?? 0) + Number(lines)).toBe(diff.trimEnd().split("\n").length);

    const whole = renderPreview(report);
    expect(rowsOf(whole)).toHaveLength(201);
    expect(whole).not.toContain("Left out here");
    expect(all(parse(whole), "code").map(textOf)).toEqual([diff.trimEnd()]);
  });

  it("counts warnings and rows that do not fit either", () => {
    const report = reportOf(manyDeletions(3_000), { diff: diffText("destroy") });

    const markdown = renderPreview(report, COMMENT);
    expect(markdown.length).toBeLessThanOrEqual(GITHUB_LIMIT);
    const [, warnings, rows] = /Left out here: (\d+) warnings, (\d+) rows/.exec(markdown) ?? [];
    expect(Number(warnings) + all(parse(markdown), "listItem").length).toBe(report.irreversible.length);
    expect(Number(rows) + rowsOf(markdown).length - 1).toBe(3_000);
  });

  it.each([
    ["one endless line", "x".repeat(500_000)],
    ["an endless run of backticks", "`".repeat(500_000)],
    ["many lines of backticks", "`".repeat(1_900).concat("\n").repeat(200)],
    ["nothing but pipes", "|".repeat(500_000)],
    ["many lines of pictographs", "😀".repeat(100).concat("\n").repeat(2_000)],
  ])("stands %s in the diff, in a value, in a name, and in an error", (_what, text) => {
    const value = { kind: "text" as const, lines: text.split("\n") };
    const properties = [{ path: text, before: value, after: value, replaces: true }];
    const change: Change = { layer: "host", label: "file", name: text, kind: "replace", properties };
    const odd = reportOf("", {
      diff: text,
      changes: [change],
      irreversible: [{ kind: "data", resource: text, text: "is lost", detail: text }],
      messages: [{ severity: "error", resource: text, text }],
    });

    const markdown = renderPreview(odd, COMMENT);
    expect(markdown.length).toBeLessThanOrEqual(GITHUB_LIMIT);
    expect(rowsOf(markdown)[1]).toHaveLength(6);
    const failed = renderPreview({ ...odd, failure: text }, COMMENT);
    expect(failed.length).toBeLessThanOrEqual(GITHUB_LIMIT);
  });
});
