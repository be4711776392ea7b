import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { DATACENTRE, ROOT } from "../../rehearsal/addresses.ts";
import { ROUTER } from "../../rehearsal/world.ts";
import { askHealth, expectQuiet, startAgain, management, npm } from "./rehearsal.ts";

beforeAll(async () => {
  await npm("run", "rehearsal:stop");
});
afterAll(async () => {
  // The router that was restarted has lost the rules of OVH's firewall.
  await npm("run", "rehearsal:stop");
  await startAgain();
});

/** Runs `npm start` until it says `line`, then sends the signal to all of it; gives what it said. */
function interruptedAt(line: RegExp, signal: NodeJS.Signals): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own, as a terminal makes one: the signal reaches the engine and its plugins, too.
    const child = spawn("npm", ["start"], { cwd: ROOT, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    let isReached = false;
    const read = (text: string) => {
      said += `${text}\n`;
      if (isReached || !line.test(text)) return;
      isReached = true;
      process.kill(-(child.pid ?? 0), signal);
    };
    createInterface({ input: child.stdout }).on("line", read);
    createInterface({ input: child.stderr }).on("line", read);
    child.on("error", reject);
    child.on("close", () => {
      if (isReached) resolve(said);
      else reject(new Error(`npm start ended without saying ${String(line)}\n${said}`));
    });
  });
}

describe("npm start, killed again and again", () => {
  it.each([
    ["while the server is paid for", /Vps vps-server .*paying/],
    ["while the server is delivered", /Vps vps-server .*installing/],
    ["while names are written", /DnsRecord .* creating/],
    ["while packages are installed", /Packages host-packages .*Unpacking docker/],
    ["while networks are made", /Network technicia-data creating/],
    ["while an image is pulled", /Image image-n8n .*Pulling fs layer/],
    ["while a service starts", /Service technicia-qdrant-service creating/],
    // Sooner than n8n starts: its image is the largest.
    ["while the certificate is asked for", /State certificate-served .*Requesting a certificate/],
    // Whatever of the last parts the run before has left.
    ["or ended with Ctrl-C", /(n8n-owner|certificate-served|public-probe) creating/, "SIGINT"],
  ] as const)("%s", async (_, line, signal: NodeJS.Signals = "SIGKILL") => {
    const said = await interruptedAt(line, signal);
    console.log(/the last run was killed: .*/.exec(said)?.[0] ?? "nothing was left pending");
  });

  it("converges, with one server ordered and paid once", async () => {
    // As a start leaves the router that was killed before its second network.
    await run(["docker", "network", "disconnect", DATACENTRE.network, ROUTER]);
    // With the routes of a container that was just made; Docker connects no other one.
    await run(["docker", "restart", "--time", "0", ROUTER]);
    const { code, stdout, stderr } = await npm("start");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    await askHealth();
    await expectQuiet();
    const { ovh } = await management<{ ovh: { orders: { vps: object | null; payments: number }[] } }>(
      "state",
    );
    // The account has bought other things before.
    expect(ovh.orders.filter(({ vps }) => vps !== null)).toEqual([expect.objectContaining({ payments: 1 })]);
  });
});
