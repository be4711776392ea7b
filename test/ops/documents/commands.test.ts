import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { commands } from "../../../ops/documents/commands.ts";
import { incident } from "../../../ops/documents/incident-command.ts";
import { report } from "../../../ops/documents/report-command.ts";
import { runCli } from "../../support/fake-pulumi.ts";
import { newIssuesFile, later, now, read, newIncident } from "../../reports/issues-file.ts";
import { newFolder } from "../../reports/temporary-folder.ts";
import { readRecordsAnywhere } from "../../../ops/documents/facts.ts";
import { noRecords, outputs, release, sources } from "../../reports/facts.ts";

describe("npm run incident", () => {
  it("opens, lists and resolves, whatever the capitals and accents of its words", async () => {
    const path = await newIssuesFile();
    const opened = await incident(
      [
        ...[
          "new",
          "--environment",
          "Production",
          "--title",
          "Certificat non renouvelé",
          "--priority",
          "CRITIQUE",
        ],
        ...["--category", "securite", "--impact", "Site refusé", "--description", "Expiré hier."],
        ...[
          "--symptom",
          "curl : certificate has expired",
          "--symptom",
          "alerte",
          "--diagnostic",
          "journal lu",
        ],
      ],
      { path, now },
    );
    expect(opened).toEqual({ text: `opened DEPLOY-001 in ${path}`, exitCode: 0 });
    expect(await read(path)).toContain("**Symptômes**:\n\n- curl : certificate has expired\n- alerte\n");

    const list = await incident(["list"], { path, now });
    expect(list.text.replace(/ {2,}/g, " | ")).toContain(
      "DEPLOY-001 | Production | Ouvert | Critique | Sécurité | 2026-11-21 | Certificat non renouvelé",
    );
    expect(list.text.replace(/ {2,}/g, " | ")).toContain("Sécurité | 1 | 100 % | -");

    const found = [
      "--cause",
      "minuterie arrêtée",
      "--solution",
      "relancée",
      "--prevention",
      "a",
      "--lesson",
      "b",
    ];
    expect(await incident(["resolve", "DEPLOY-001", ...found], { path, now: later })).toEqual({
      text: "DEPLOY-001 is résolu",
      exitCode: 0,
    });
    expect((await incident(["list", "--open"], { path, now })).text).toBe("no open incident");
  });

  it("notes on an open incident that it was seen again", async () => {
    const path = await newIssuesFile();
    const args = [
      ...[
        "new",
        "--environment",
        "test",
        "--title",
        newIncident().title,
        "--priority",
        "basse",
        "--category",
        "Autres",
      ],
      ...["--impact", "x", "--description", "x", "--symptom", "x"],
    ];
    await incident(args, { path, now });

    expect((await incident(args, { path, now: later })).text).toBe(
      "DEPLOY-001 is already open: noted that it was seen again",
    );
  });

  it.each([
    [[], 'expected one of list, new, resolve, from-alerts, got ""'],
    [["close"], 'expected one of list, new, resolve, from-alerts, got "close"'],
    [["new"], "--title: expected a text, got nothing\n--priority: expected one of Basse, Moyenne"],
    [
      ["new", "--environment", "dev"],
      '--environment: expected one of test, Test, staging, Staging, prod, Production, got "dev"',
    ],
    [["new", "--symptom", " "], "--symptom: expected a text, once or more often, got nothing"],
    [
      ["resolve"],
      "expected one number such as DEPLOY-001, got 0; npm run incident -- list shows them\n--cause:",
    ],
    [["list", "--all"], "Unknown option '--all'"],
  ])("fails with every problem and the usage when given %j", async (args, told) => {
    const run = await runCli(["incident", ...args], {});

    expect(run).toMatchObject({ code: 1, stdout: "", calls: [] });
    expect(run.stderr).toContain(told);
    expect(run.stderr).toMatch(/^usage: npm run incident -- (list|new|resolve) /m);
  });
});

describe("npm run report", () => {
  const usage = commands["report"]!.usage;

  it("writes the document and the page", async () => {
    const folder = await newFolder();
    const [tracking, html] = [join(folder, "docs", "suivi.md"), join(folder, "rapport.html")];
    const records = { ...noRecords, releases: [release(1)] };

    expect(
      await report({
        usage,
        args: ["--html", html],
        request: { tracking, issues: join(folder, "none.md"), now },
        sources: sources({ test: { records } }),
      }),
    ).toEqual({ text: `wrote ${tracking}\nwrote ${html}`, exitCode: 0 });
    expect(await readFile(tracking, "utf8")).toContain("nº 1 (0123456)");
    expect(await readFile(html, "utf8")).toMatch(/^<!doctype html>[^]*nº 1 \(0123456\)[^]*<\/html>\s*$/);
  });

  it("writes what it knows, and fails, when a stack cannot be read", async () => {
    const folder = await newFolder();
    const tracking = join(folder, "suivi.md");
    const stacks = sources({ test: {}, prod: { failure: "error: not logged in" } });

    expect(
      await report({
        usage,
        args: [],
        request: { tracking, issues: join(folder, "none.md"), now },
        sources: stacks,
      }),
    ).toEqual({
      text: `wrote ${tracking}\nprod: could not be read: pulumi: not logged in to where the state is kept; run pulumi login (the README shows the choices)`,
      exitCode: 1,
    });
    expect(await readFile(tracking, "utf8")).toMatch(/\| Production +\| Inconnu \(état illisible\)/);
  });

  it("takes the records of a set where the server does not answer, fails, and says how old they are", async () => {
    const folder = await newFolder();
    const [tracking, html] = [join(folder, "suivi.md"), join(folder, "rapport.html")];
    const copy = "no answer; these are the records in the set 01234567 of 2026-11-21 08:00:00 UTC, 3.0 h old";

    const { text, exitCode } = await report({
      usage,
      args: ["--html", html],
      request: { tracking, issues: join(folder, "none.md"), now },
      sources: sources({ test: { records: { ...noRecords, releases: [release(1)], copy } } }),
    });

    expect([text.split("\n").at(-1), exitCode]).toEqual([`test: ${copy}`, 1]);
    expect(await readFile(tracking, "utf8")).toMatch(
      /\| Test +\| Déployé \(serveur injoignable\) \|.*nº 1 \(0123456\)/,
    );
    expect(await readFile(html, "utf8")).toContain("viennent du dernier jeu de sauvegardes");
  });

  it("reads a server that does not answer out of the newest set, and fails where there is none", async () => {
    const copied = {
      ...{ set: "0123456789abcdef", madeAt: "2026-11-21T08:00:00Z", corrupt: [] },
      ...{ events: [], releases: [release(1)] },
    };
    const read = (found: typeof copied | undefined) =>
      readRecordsAnywhere({ readCopy: () => Promise.resolve(found), now })(
        { ...outputs(), ssh: { ...outputs().ssh, privateKeyFile: "/dev/null/none" } },
        "test",
      );

    expect(await read(copied)).toMatchObject({
      releases: [{ number: 1 }],
      copy: expect.stringMatching(
        /expected a readable private key.*; these are the records in the set 01234567/,
      ) as string,
    });
    await expect(read(undefined)).rejects.toThrow("expected a readable private key");
  });

  it("asks the CLI for each stack's state and outputs, and never for a secret", async () => {
    const folder = await newFolder();
    const asked: string[] = [];
    const { pulumi, readRecords } = sources({ test: {} });
    await report({
      usage,
      args: [],
      request: { tracking: join(folder, "suivi.md"), issues: join(folder, "none.md"), now },
      sources: {
        readRecords,
        pulumi: (call) => {
          asked.push(call.args.join(" "));
          return pulumi(call);
        },
      },
    });

    expect(asked.toSorted()).toEqual([
      "stack export --stack prod",
      "stack export --stack staging",
      "stack export --stack test",
      "stack output --json --stack test",
    ]);
  });

  it("fails when the folder of the page cannot be written", async () => {
    const folder = await newFolder();
    const request = { tracking: join(folder, "suivi.md"), issues: join(folder, "none.md"), now };

    await expect(
      report({ usage, args: ["--html", "/dev/null/rapport.html"], request, sources: sources({}) }),
    ).rejects.toThrow(/^\/dev\/null\/rapport\.html: expected a file to write, got /);
  });

  it("fails when given an unknown option", async () => {
    expect(await runCli(["report", "--pdf"], {})).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`Unknown option '--pdf'`) as string,
    });
  });
});
