import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { commands } from "../../../ops/monitoring/commands.ts";
import { hideSecrets } from "../../../ops/monitoring/log-secrets.ts";
import { showLogs, type LogsRequest } from "../../../ops/monitoring/logs.ts";
import { three } from "../../support/servers.ts";
import { startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

let stores: DoubleStores;
let world: TestWorld;

/** What the store has, oldest first. */
let lines: Record<string, string>[];

const N8N = {
  ...{
    _time: "2026-11-24T09:59:01.5Z",
    CONTAINER_TAG: "n8n",
    _SYSTEMD_UNIT: "docker.service",
    PRIORITY: "3",
  },
  _msg: "Error: it failed\n    at run (a.js:1)",
};
const SSH = {
  _time: "2026-11-24T09:59:02Z",
  _SYSTEMD_UNIT: "ssh.service",
  SYSLOG_IDENTIFIER: "sshd",
  _msg: "hello",
};
const REQUEST = "0123456789abcdef0123456789abcdef";
const ACCESS = {
  ...{ _time: "2026-11-24T09:59:00.000000001Z", app_name: "gateway" },
  _msg: `{"time":"x","id":"${REQUEST}","remote":"198.51.100.7","host":"h","method":"POST","uri":"/api/question","status":502,"bytes":1,"seconds":1.234,"upstream":"u"}`,
};

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  lines = [ACCESS, N8N, SSH];
  stores.answers.set("logs /select/logsql/query", ({ form }) => {
    const query = form["query"]!;
    if (query.includes("stats count() lines")) return { body: '{"lines":"2500"}' };
    if (query.includes("stats by"))
      return { body: [N8N, SSH].map((line) => JSON.stringify(line)).join("\n") };
    // The newest first, as the query asks for them.
    return {
      body: lines
        .toReversed()
        .map((line) => JSON.stringify(line))
        .join("\n"),
    };
  });
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const logs = (changes: Partial<LogsRequest> = {}) =>
  showLogs(
    {
      ...{
        stack: "test",
        service: undefined,
        server: undefined,
        since: "1h",
        until: undefined,
        grep: undefined,
      },
      ...{ errors: false, request: undefined, follow: false, json: false, ...changes },
    },
    world.world,
  );
const queries = () => stores.received.map(({ form }) => form["query"]);
const INDENT = " ".repeat(45);

describe("npm run logs", () => {
  it("shows a request once that the gateway has also written to its container's output", async () => {
    lines = [ACCESS, { ...ACCESS, app_name: "", CONTAINER_TAG: "gateway" }];

    expect((await logs()).text.split("\n")).toHaveLength(1);
  });

  it("shows containers, gateway and server together in order of time, and keeps lines that belong together", async () => {
    const { text, exitCode } = await logs();

    expect(exitCode).toBe(0);
    expect(text.split("\n").map((line) => line.replace(/\d\d:59/, "hh:59"))).toEqual([
      `2026-11-24 hh:59:00.000  gateway             POST /api/question 502 1.234 s ${REQUEST} from 198.51.100.7`,
      "2026-11-24 hh:59:01.500  n8n                 Error: it failed",
      `${INDENT}    at run (a.js:1)`,
      "2026-11-24 hh:59:02.000  ssh                 hello",
    ]);
    expect(world.said).toEqual([]);
  });

  it("asks for the time, the service, the text, the errors and the request that were given", async () => {
    await logs({ service: "n8n", grep: 'a.b "c"', errors: true, request: REQUEST, since: "2h", until: "1h" });
    const { form } = stores.received[0]!;

    expect(form).toMatchObject({ start: "2026-11-24T08:00:00.000Z", end: "2026-11-24T09:00:00.000Z" });
    expect(form["query"]).toContain('CONTAINER_TAG:="n8n" OR app_name:="n8n"');
    expect(form["query"]).toContain(String.raw`_msg:~"(?i)a\\.b \\\"c\\\""`);
    expect(form["query"]).toContain(`_msg:~"${REQUEST}"`);
    expect(form["query"]).toContain('PRIORITY:in("0","1","2","3")');
    expect(form["query"]).toMatch(/\| sort by \(_time\) desc limit 1000 \| fields _time, _msg/);
  });

  it("names the server of a line, where there are several, and asks for those of one", async () => {
    world.servers = three;
    lines = [{ ...ACCESS, server: "gra-2" }, { ...N8N, server: "gra-1" }, SSH];
    const { text } = await logs({ server: "gra-2" });

    expect(stores.received[0]!.form["query"]).toMatch(/^server:="gra-2" \| sort by/);
    expect(text.split("\n").map((line) => line.slice(25, 53).trimEnd())).toEqual([
      "gra-2     gateway",
      "gra-1     n8n",
      "",
      "ssh                 hello",
    ]);
    const [first = ""] = (await logs({ json: true })).text.split("\n");
    expect(JSON.parse(first)).toMatchObject({ server: "gra-2", service: "gateway" });
  });

  it("refuses a server that there is not, and of an only server any", async () => {
    await expect(logs({ server: "main" })).rejects.toThrow(
      "--server: test has one server, whose lines are not named; leave --server out",
    );
    world.servers = three;
    await expect(logs({ server: "gra-9" })).rejects.toThrow(
      '--server: expected one of gra-1, gra-2, gra-3, got "gra-9"',
    );
  });

  it("says how many older lines are left out, and how to narrow", async () => {
    lines = Array.from({ length: 1000 }, () => SSH);
    const { text } = await logs();

    expect(text.split("\n")).toHaveLength(1000);
    expect(world.said).toEqual([
      "1500 older lines are left out; narrow with the name of a service, --since, --until, --grep or --errors",
    ]);
  });

  it.each([
    ["a colour", "a \u001b[31mred\u001b[0m word", "a red word"],
    ["a title", "a \u001b]0;owned\u0007 b", "a  b"],
    ["a cleared screen", "\u001b[2J\u001b[1;1Hgone", "gone"],
    ["a link", "\u001b]8;;http://x\u001b\\click\u001b]8;;\u001b\\", "click"],
    ["a bell, a null and a delete", "a\u0007b\u0000c\u007fd", "abcd"],
    ["a C1 control", "a\u009b31mb", "a31mb"],
    ["another direction", "a\u202etxt.exe", "atxt.exe"],
    ["a carriage return that hides", "harmless\rrm -rf", `harmless\n${INDENT}rm -rf`],
    ["an unfinished sequence", "a\u001b", "a"],
    ["a line of the store's own form", '{"_msg":"x"}', '{"_msg":"x"}'],
  ])("lets %s in a line do nothing", async (_what, message, shown) => {
    lines = [{ ...SSH, _msg: message }];
    const { text } = await logs();

    expect(text.slice(45)).toBe(shown);
  });

  it("keeps an access line that nobody can read as it is", async () => {
    lines = [{ ...ACCESS, _msg: '{"method":' }];

    expect((await logs()).text.slice(45)).toBe('{"method":');
  });

  it("hides the stack's secrets, and what looks like one", async () => {
    world.secrets = { n8nOwnerPassword: "Tr0ub4dor-horse" };
    lines = [{ ...N8N, _msg: "login with Tr0ub4dor-horse and Authorization: Bearer abcdef0123456789" }];

    expect((await logs()).text.slice(45)).toBe("login with [secret] and Authorization: Bearer [secret]");
    expect((await logs({ json: true })).text).not.toContain("Tr0ub4dor");
  });

  it("asks nobody for a passphrase: without it only what looks like a secret is hidden, which it says", async () => {
    world.secrets = undefined;
    lines = [{ ...N8N, _msg: "postgres://n8n:hunter22@postgres/n8n" }];

    expect((await logs()).text.slice(45)).toBe("postgres://n8n:[secret]@postgres/n8n");
    expect(world.said).toEqual([
      "the stack's secrets cannot be read here, so only what looks like a secret is hidden",
    ]);
  });

  it("colours the names of services at a terminal only", async () => {
    expect((await logs()).text).not.toContain("\u001b");
    world.isTerminal = true;
    expect((await logs()).text).toMatch(/\u001b\[\d\dmgateway +\u001b\[0m {2}POST/);
    expect((await logs({ json: true })).text).not.toContain("\u001b");
  });

  it("prints a line of JSON for each, for a program", async () => {
    const { text } = await logs({ json: true });

    expect(text.split("\n").map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { time: ACCESS._time, service: "gateway" },
      { service: "n8n", message: N8N._msg },
      { service: "ssh", message: "hello" },
    ]);
  });

  it("says that a service has written nothing, and names the known ones for one that nobody knows", async () => {
    lines = [];

    expect((await logs({ service: "qdrant", grep: "x" })).text).toMatch(
      /^test: no line of qdrant with "x" from 2026-11-24 /,
    );
    await expect(logs({ service: "qdrnt" })).rejects.toThrow(
      /^qdrnt: expected a service or a unit of the server, got one that has written nothing; known are .*\bgateway, host,.* n8n.* qdrant, ssh,/,
    );
  });

  it("fails where the store does not answer", async () => {
    stores.down.add("logs");

    await expect(logs()).rejects.toThrow("logs on debian@203.0.113.10:22 does not answer");
  });

  it.each([
    [{ since: "yesterday" }, "--since: expected a span before now such as 1h"],
    [{ since: "1h", until: "2h" }, "--until: expected a time after 2026-11-24"],
  ])("refuses %j", async (changes, message) => {
    await expect(logs(changes)).rejects.toThrow(message);
    expect(queries()).toEqual([]);
  });

  it.each([
    [["test", "--request", "x' OR 1"], "--request: expected the id of a request, 8 to 32 hexadecimal digits"],
    [["test", "--follow", "--until", "1h"], "--follow goes on without an end"],
    [["test", "n8n", "qdrant"], "expected one service, got 2"],
  ])("refuses the arguments %j", async (args, message) => {
    await expect(commands["logs"]!.run(args)).rejects.toThrow(message);
  });
});

describe("npm run logs -- --follow", () => {
  it("prints each line once, waits for a store that restarts, and ends when it is interrupted", async () => {
    lines = [N8N];
    const rounds: (() => void)[] = [
      () => lines.push(SSH),
      () => stores.down.add("logs"),
      () => undefined,
      () => stores.down.delete("logs"),
      // The same line again, at the same moment.
      () => lines.push(SSH),
      () => world.stop.abort(),
    ];
    world.pause = () => Promise.resolve(rounds.shift()!());
    const outcome = await logs({ follow: true });

    expect(outcome).toEqual({ text: "", exitCode: 0 });
    expect(world.printed.map((line) => line.slice(25, 45).trim())).toEqual(["n8n", "ssh", "ssh"]);
    expect(world.said).toEqual([
      expect.stringMatching(/^logs on .* does not answer .*; waiting for it$/),
      "the store of logs answers again",
    ]);
  });

  it("ends at once when it is interrupted while the server does not answer", async () => {
    const { server } = world;
    server.run = (command) =>
      command.purpose.endsWith("of the monitoring")
        ? new Promise(() => setImmediate(() => world.stop.abort()))
        : Promise.reject(new Error(command.purpose));

    expect(await logs({ follow: true })).toEqual({ text: "", exitCode: 0 });
  });

  it("fails for a query that the store refuses", async () => {
    stores.answers.set("logs /select/logsql/query", () => ({ status: 400, body: "cannot parse" }));

    await expect(logs({ follow: true })).rejects.toThrow("it refuses with 400: cannot parse");
  });
});

describe("what looks like a secret", () => {
  const hide = hideSecrets(undefined);

  it.each([
    ["https://user:p4ssw0rd@example.org/x", "https://user:[secret]@example.org/x"],
    [`key sk-ant-${"a".repeat(24)} used`, "key [secret] used"],
    ["pa-abcdefghijklmnopqrstuvwx", "[secret]"],
    ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", "[secret]"],
    ['{"password":"hunter22","user":"a"}', '{"password":"[secret]","user":"a"}'],
    [String.raw`{\"api_key\":\"abcd1234\"}`, String.raw`{\"api_key\":\"[secret]\"}`],
    ["GET /x?token=abcdef123&y=1", "GET /x?token=[secret]&y=1"],
    ["N8N_ENCRYPTION_KEY=0123456789", "N8N_ENCRYPTION_KEY=[secret]"],
    ["https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/[secret]"],
    ["-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----[secret]"],
  ])("%j is shown as %j", (text, shown) => {
    expect(hide(text)).toBe(shown);
  });

  it.each(["3 tokens used", "password reset by admin", "GET /healthz 200", "https://example.org:443/a@b"])(
    "leaves %j as it is",
    (text) => {
      expect(hide(text)).toBe(text);
    },
  );
});
