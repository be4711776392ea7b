import { afterEach, describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { addServers, parseNewServer } from "../../../ops/servers/add.ts";
import { commands } from "../../../ops/servers/commands.ts";
import { three } from "../../support/servers.ts";
import { TestFleet, type ListedServer } from "./test-fleet.ts";

let fleet: TestFleet;
let opened: TestFleet | undefined;
afterEach(async () => {
  await opened?.[Symbol.asyncDispose]();
  opened = undefined;
});

async function start(listed: readonly ListedServer[]): Promise<void> {
  opened = fleet = await TestFleet.open(listed);
}

/** Lines of a table, their columns apart by one bar. */
const rows = (text: string) => text.split("\n").map((line) => line.replace(/ {2,}/g, " | "));

describe("add", () => {
  const add = (texts: readonly string[], order?: { subsidiary: string; maxMonthlyPriceEur: number }) =>
    addServers({ stack: "test", servers: texts.map(parseNewServer), order }, fleet.world);

  it("prints the list with the new server, what it survives, and what comes next", async () => {
    await start(three);

    const { text } = await add(["gra-4:worker=vps-4a2b3c4d.vps.ovh.net"]);

    expect(text).toContain("  - name: gra-4\n    role: worker\n    serviceName: vps-4a2b3c4d.vps.ovh.net\n");
    expect(text).toContain(
      "write this into Pulumi.test.yaml, under config, in place of the list that is there:",
    );
    expect(rows(text)).toContainEqual(expect.stringMatching(/^gra-4 \| pages/));
    expect(text).toContain("npm run secrets -- test --init");
    expect(await fleet.calls()).toEqual([]);
  });

  it("makes a list of an only server and the new ones, with all data where it is", async () => {
    await start([]);

    const { text } = await add(["gra-2:manager", "sbg-1:witness"], {
      subsidiary: "FR",
      maxMonthlyPriceEur: 15,
    });

    expect(text).toContain(
      "technicia:servers:\n  - name: main\n    role: manager\n    serviceName: vps-1a2b3c4d.vps.ovh.net\n    labels:\n      - gateway\n",
    );
    expect(text).toContain(
      "  - name: gra-2\n    role: manager\n    order:\n      subsidiary: FR\n      maxMonthlyPriceEur: 15\n",
    );
    expect(text).toContain("and take serviceName or order out of technicia:server");
  });

  it.each([
    [
      ["gra-2:manager=vps-2a2b3c4d.vps.ovh.net"],
      "expected 1, 3 or 5 servers that vote (manager and witness), got 2",
    ],
    [
      ["main:worker=vps-2a2b3c4d.vps.ovh.net"],
      'expected another server than those before it, got "main" again',
    ],
    [
      ["gra-2:worker"],
      "expected either serviceName (a server you have) or order (a server to buy), got neither",
    ],
    [["gra-2:worker=vps-1a2b3c4d.vps.ovh.net"], 'got "vps-1a2b3c4d.vps.ovh.net" again'],
    [["Gra_2:worker=vps-2a2b3c4d.vps.ovh.net"], "expected a name of at most 16 lower-case letters"],
  ])("refuses %j as the settings would", async (texts, message) => {
    await start([]);

    await expect(add(texts)).rejects.toThrow(message);
  });

  it.each(["gra-2", "gra-2:chief", "gra-2:worker=", ":worker", ""])(
    "refuses %j, and shows the form",
    (text) => {
      expect(() => parseNewServer(text)).toThrow(UserError);
      expect(() => parseNewServer(text)).toThrow("expected <name>:<role>, such as gra-2:manager");
    },
  );
});

describe("the command line of servers", () => {
  it.each([
    ["servers", ["test", "stop", "gra-2"], 'expected one of drain, undrain, remove and add, got "stop"'],
    ["servers", ["test", "drain"], "expected the name of one server to drain, got 0"],
    ["servers", ["test", "drain", "a", "b"], "expected the name of one server to drain, got 2"],
    ["servers", ["test", "drain", "gra-2", "--gone"], "--gone belongs to remove"],
    ["servers", ["test", "add"], "name the servers to add"],
    ["servers", ["test", "--order", "FR:15"], "--order belongs to add"],
    ["servers", ["test", "add", "a:worker", "--order", "15"], "expected a country and the highest price"],
    ["failover", ["test"], "name the server that is down: add --from <name>"],
  ])("refuses %s %j with the usage", async (command, args, message) => {
    const run = commands[command]!.run(args);

    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toThrow(`usage: npm run ${command} -- <stack>`);
  });
});
