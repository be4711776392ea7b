import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  ask,
  askHealth,
  ensureStarted,
  startAgain,
  expectQuiet,
  onServer,
  operator,
  pulumi,
  restart,
  set,
  traffic,
  until,
  up,
} from "./rehearsal.ts";
import { expectNoDrift } from "./drift-check.ts";
import { openTcpPorts, WEB } from "./scan.ts";

beforeAll(ensureStarted);
// Rewrites the settings, which reverts what the tests changed.
afterAll(startAgain);

const imageOf = (service: string) =>
  onServer(
    `docker service inspect technicia-${service} --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'`,
  );

describe("an update", () => {
  it("rolls a stateless service over without a failed request", async () => {
    await set("technicia:images.vectorStore", "technicia/vector-store:1.0.1");
    const asking = traffic(askHealth);
    await up();
    const { asked, failures } = await asking.stop();

    expect(failures).toEqual([]);
    expect(asked).toBeGreaterThan(20);
    expect(await imageOf("vector-store")).toMatch(/^technicia\/vector-store:1\.0\.1@sha256:/);
    await expectQuiet();
  });

  it("of a secret leaves only the new one", async () => {
    const ids = async () =>
      (await onServer("docker secret ls --format '{{.ID}} {{.Name}}' | grep voyage")).trim();
    const before = await ids();
    const rotated = await operator(
      ["pulumi", "config", "set", "--secret", "technicia:voyageApiKey", "--stack", "test"],
      { input: "pa-rehearsal-rotated00000000000000000000" },
    );
    expect(rotated.code, rotated.stderr).toBe(0);
    const asking = traffic(askHealth);
    await up();
    const { failures } = await asking.stop();

    expect(failures).toEqual([]);
    const after = await ids();
    expect(after.split("\n")).toHaveLength(1);
    expect(after).not.toBe(before);
    await expectQuiet();
  });

  it.each([
    ["qdrant", "technicia:images.qdrant", "qdrant/qdrant:v1.19.1-unprivileged", ":v1.19.1"],
    ["n8n", "technicia:services.n8n.memoryMib", "1300", "n8n"],
  ])(
    "restarts %s, which owns data, with 503 and Retry-After meanwhile",
    async (service, key, value, image) => {
      await set(key, value);
      const seen = new Set<number>();
      const asking = traffic(async () => {
        const { status, headers } = await ask(service === "n8n" ? "/webhook/none" : "/healthz");
        seen.add(status);
        if (status === 503 && headers["retry-after"] === undefined)
          throw new Error("503 without Retry-After");
      });
      await up();
      const { failures } = await asking.stop();

      expect(failures).toEqual([]);
      // One address may ask n8n ten times a second.
      expect([...seen].filter((status) => ![200, 404, 429, 503].includes(status))).toEqual([]);
      expect(await imageOf(service)).toContain(image);
      await until("TechnicIA to answer", async () => (await ask("/healthz")).status === 200);
      await expectQuiet();
    },
  );

  it("of the gateway's routes fails no request", async () => {
    await set("technicia:timeouts.answerSeconds", "130");
    const asking = traffic(askHealth);
    await up();
    const { failures } = await asking.stop();

    expect(failures).toEqual([]);
    expect(await onServer("cat /opt/technicia/gateway/nginx.conf")).toContain("130s");
    await expectQuiet();
  });

  it("to an unhealthy release is rolled back while the old one serves", async () => {
    const before = await imageOf("vector-store");
    await set("technicia:images.vectorStore", "technicia/vector-store:1.0.2-sick");
    const asking = traffic(askHealth);
    const { code, stdout, stderr } = await pulumi("up", "--yes", "--skip-preview");
    const { failures } = await asking.stop();

    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).toContain("rollback");
    expect(failures).toEqual([]);
    expect(await imageOf("vector-store")).toBe(before);

    await set("technicia:images.vectorStore", "technicia/vector-store:1.0.0");
    await up("--refresh");
    await askHealth();
    await expectQuiet();
  });

  it("to an image that the registry does not have fails before anything changes", async () => {
    const before = await imageOf("vector-store");
    await set("technicia:images.vectorStore", "technicia/vector-store:9.9.9");
    const preview = await pulumi("preview");
    const run = await pulumi("up", "--yes", "--skip-preview");

    for (const { code, stdout, stderr } of [preview, run]) {
      expect(code).not.toBe(0);
      expect(`${stdout}${stderr}`).toContain(
        "image: expected technicia/vector-store:9.9.9 in its registry, got",
      );
    }
    expect(await imageOf("vector-store")).toBe(before);
    await askHealth();
    await set("technicia:images.vectorStore", "technicia/vector-store:1.0.0");
    await up();
    await expectQuiet();
  });
});

describe("a restart of dockerd", () => {
  it("changes nothing in what a stranger sees", async () => {
    await onServer("systemctl restart docker.service");
    await until("TechnicIA to answer again", async () => (await ask("/healthz")).status === 200, 180);

    expect(await openTcpPorts("-4")).toEqual(WEB);
    expect(await openTcpPorts("-6")).toEqual([]);
  });
});

describe("a day", () => {
  it("leaves no difference, whatever the server's timers start", async () => {
    await onServer(`set -euo pipefail
      systemctl list-units --all --type timer --no-legend --plain | while read -r timer _; do
        unit=$(systemctl show --property Unit --value "$timer")
        systemctl start "$unit" </dev/null || { systemctl status --no-pager "$unit"; exit 1; }
      done`);

    await expectNoDrift();
  });
});

describe("a reboot", () => {
  it("brings everything back, behind the firewall from the start", async () => {
    await restart();
    await until("TechnicIA to answer again", async () => (await ask("/healthz")).status === 200, 180);

    expect(await openTcpPorts("-4")).toEqual(WEB);
    await expectQuiet();
  });

  it("starts the tunnel also where Docker has given up on it", async () => {
    await onServer("docker update --restart no technicia-tunnel");
    await restart();
    await until("the tunnel to run", async () =>
      (await onServer("docker container inspect --format '{{.State.Running}}' technicia-tunnel")).includes(
        "true",
      ),
    );

    await onServer("docker update --restart always technicia-tunnel");
    await until("TechnicIA to answer again", async () => (await ask("/healthz")).status === 200, 180);
    await expectQuiet();
  });
});
