import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import { startHttpDouble, type Answer } from "../fake-plugins/http-double.ts";
import { createStack } from "./stack.ts";

// The first run on a machine may have to build the engine.
const BUILD_MS = 1_500_000;
// Each test runs the CLI up to ten times, which takes some seconds each on a busy machine.
const STACK_MS = 300_000;

let home: string;
let engine: Engine;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "technicia-home-"));
  engine = await prepareEngine({ progress: () => undefined, home });
}, BUILD_MS);

afterAll(async () => {
  await rm(home, { recursive: true, force: true });
});

describe("the engine", { timeout: STACK_MS }, () => {
  it("creates, leaves alone, updates and destroys what a program declares", async () => {
    const program = (text: string, trigger: string): string => `
      import * as command from "@pulumi/command";
      import * as pulumi from "@pulumi/pulumi";
      const file = new command.local.Command("file", {
        create: "cat > made; echo created",
        update: "cat > made; echo updated after $PULUMI_COMMAND_STDOUT",
        delete: "rm made",
        stdin: pulumi.secret("${text}"),
        triggers: ["${trigger}"],
      }, { deleteBeforeReplace: true });
      console.log("the program ran");
      export const said = file.stdout;
    `;
    await using stack = await createStack(engine, program("canary-one", "a"));
    const made = () => readFile(join(stack.folder, "made"), "utf8");

    const preview = await stack.pulumi("preview");
    expect(preview).toMatchObject({ code: 0, output: expect.stringContaining("the program ran") as string });
    await expect(made()).rejects.toThrow("ENOENT");

    expect(await stack.pulumi("up", "--yes", "--skip-preview")).toMatchObject({ code: 0 });
    expect(await made()).toBe("canary-one");
    expect((await stack.pulumi("stack", "output", "said")).output.trim()).toBe("created");
    expect(await stack.readState()).not.toContain("canary-one");

    expect(await stack.pulumi("preview", "--expect-no-changes")).toMatchObject({ code: 0 });
    expect(await stack.pulumi("refresh", "--preview-only", "--expect-no-changes")).toMatchObject({ code: 0 });

    await stack.write(program("canary-two", "a"));
    const changed = await stack.pulumi("preview", "--expect-no-changes");
    expect(changed.code).not.toBe(0);
    expect(changed.output).toContain("1 to update");
    expect(await stack.pulumi("up", "--yes", "--skip-preview")).toMatchObject({ code: 0 });
    expect(await made()).toBe("canary-two");
    expect((await stack.pulumi("stack", "output", "said")).output.trim()).toBe("updated after created");

    await stack.write(program("canary-two", "b"));
    expect((await stack.pulumi("preview")).output).toContain("1 to replace");

    expect(await stack.pulumi("destroy", "--yes", "--skip-preview")).toMatchObject({ code: 0 });
    await expect(made()).rejects.toThrow("ENOENT");
  });

  it("does not record a command that fails", async () => {
    await using stack = await createStack(
      engine,
      `import * as command from "@pulumi/command";
       new command.local.Command("broken", { create: "echo why; exit 3" });`,
    );

    const failed = await stack.pulumi("up", "--yes", "--skip-preview");

    expect(failed.code).not.toBe(0);
    expect(failed.output).toContain('exit status 3: running "echo why; exit 3":');
    expect(await stack.readState()).not.toContain("command:local:Command");
  });

  it("hands the program its configuration, secrets included", async () => {
    await using stack = await createStack(
      engine,
      `import * as pulumi from "@pulumi/pulumi";
       const config = new pulumi.Config();
       export const plain = config.requireObject<{ a: number }>("plain").a + 1;
       export const secret = config.requireSecret("key").apply((key) => key.length);`,
    );
    await stack.pulumi("config", "set", "--path", "plain.a", "41");
    await stack.pulumi("config", "set", "--secret", "key", "canary-three");

    expect(await stack.pulumi("up", "--yes", "--skip-preview")).toMatchObject({ code: 0 });

    expect((await stack.pulumi("stack", "output", "--json", "--show-secrets")).output.trim()).toBe(
      JSON.stringify({ plain: 42, secret: 12 }, null, 2),
    );
    expect((await stack.pulumi("stack", "output", "secret")).output.trim()).toBe("[secret]");
    expect(await stack.readState()).not.toContain("canary-three");
  });

  it("reports a program that throws, once", async () => {
    await using stack = await createStack(engine, `throw new Error("not like this");`);

    const { code, output } = await stack.pulumi("preview");

    expect(code).not.toBe(0);
    expect(output).toContain("Error: not like this");
    expect(output).not.toContain("non-zero exit code");
  });

  it("reports a program that ends by itself", async () => {
    await using stack = await createStack(engine, `process.exit(3);`);

    const { code, output } = await stack.pulumi("preview");

    expect(code).not.toBe(0);
    expect(output).toContain("Program exited with non-zero exit code: 3");
  });

  it("has the docker plugin, which dials a host only when something is to be done there", async () => {
    let dialled = 0;
    const host = createServer((socket) => {
      dialled += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
    await using stack = await createStack(
      engine,
      `import * as docker from "@pulumi/docker";
       const provider = new docker.Provider("host", {
         host: "ssh://nobody@127.0.0.1:${(host.address() as AddressInfo).port}",
         sshOpts: ["-o", "BatchMode=yes", "-F", "none"],
       });
       new docker.Network("edge", { driver: "overlay", attachable: true }, { provider });
       new docker.Container("tunnel", {
         image: "nginx:1.30-alpine",
         command: ["nginx", "-t"],
         networksAdvanced: [{ name: "edge", aliases: ["a"] }],
       }, { provider });
       new docker.ServiceConfig("settings", { data: "YQ==" }, { provider });`,
    );

    const preview = await stack.pulumi("preview");
    expect(preview.output).toContain("5 to create");
    expect(preview.code).toBe(0);
    expect(dialled).toBe(0);

    const up = await stack.pulumi("up", "--yes", "--skip-preview");
    host.close();
    expect(up.code).not.toBe(0);
    expect(up.output).toContain("Error pinging Docker server");
    expect(dialled).toBeGreaterThan(0);
  });
});

describe("the fake plugins behind the engine", { timeout: STACK_MS }, () => {
  it("create, leave alone, repair and delete a record at Cloudflare", async () => {
    const records = new Map<string, Record<string, unknown>>();
    const answer = ({ method, path, body }: { method: string; path: string; body: string }): Answer => {
      const id = path.split("/")[6] ?? `r${records.size + 1}`;
      const missing = method !== "POST" && !records.has(id);
      if (missing) {
        return {
          status: 404,
          json: { success: false, errors: [{ code: 81044, message: "gone" }], result: null },
        };
      }
      if (method === "POST" || method === "PUT") {
        const { name, ...fields } = JSON.parse(body) as Record<string, unknown>;
        records.set(id, {
          ...fields,
          id,
          name: `${String(name)}.example.com`,
          meta: {},
          settings: {},
          tags: [],
          proxiable: true,
        });
      }
      const result = records.get(id);
      if (method === "DELETE") {
        records.delete(id);
      }
      return { json: { success: true, errors: [], messages: [], result } };
    };
    await using api = await startHttpDouble(answer);
    await using stack = await createStack(
      engine,
      `import * as cloudflare from "@pulumi/cloudflare";
       const provider = new cloudflare.Provider("dns", { apiToken: "${"k".repeat(40)}", baseUrl: "${api.url}/client/v4" });
       const record = new cloudflare.DnsRecord("n8n",
         { zoneId: "z", name: "n8n", type: "A", content: "203.0.113.10", ttl: 300 }, { provider });
       export const content = record.content;`,
    );

    expect(await stack.pulumi("preview")).toMatchObject({ code: 0 });
    expect(api.seen).toEqual([]);
    expect(await stack.pulumi("up", "--yes", "--skip-preview")).toMatchObject({ code: 0 });
    expect(await stack.readState()).not.toContain("k".repeat(40));
    expect(await stack.pulumi("preview", "--refresh", "--expect-no-changes")).toMatchObject({ code: 0 });

    records.get("r1")!.content = "192.0.2.66";
    const drift = await stack.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff");
    expect(drift.code).not.toBe(0);
    expect(drift.output).toContain("192.0.2.66");
    expect(await stack.pulumi("up", "--yes", "--skip-preview", "--refresh")).toMatchObject({ code: 0 });
    expect(records.get("r1")).toMatchObject({ content: "203.0.113.10" });

    records.clear();
    const blocked = await stack.pulumi("destroy", "--yes", "--skip-preview");
    expect(blocked.code).not.toBe(0);
    expect(blocked.output).toContain("/dns_records/r1: 404 {");
    expect(await stack.pulumi("up", "--yes", "--skip-preview", "--refresh")).toMatchObject({ code: 0 });
    expect(records.size).toBe(1);

    expect(await stack.pulumi("destroy", "--yes", "--skip-preview")).toMatchObject({ code: 0 });
    expect(records.size).toBe(0);
  });

  it("refuse a token that cannot be one, in the preview", async () => {
    await using stack = await createStack(
      engine,
      `import * as cloudflare from "@pulumi/cloudflare";
       new cloudflare.Provider("dns", { apiToken: "short" });`,
    );

    const { code, output } = await stack.pulumi("preview");

    expect(code).not.toBe(0);
    expect(output).toContain("API tokens must be 40 to 80 characters");
  });

  it("confirm OVH's credentials in a preview already, and write the reverse name and the record", async () => {
    const key = { ipReverse: "203.0.113.10", reverse: "n8n.example.com." };
    const record = {
      id: 7,
      zone: "example.com",
      subDomain: "n8n",
      fieldType: "A",
      ttl: 60,
      target: "203.0.113.10",
    };
    await using api = await startHttpDouble(({ path }) => {
      const answers = { "/1.0/auth/time": Math.floor(Date.now() / 1000), "/1.0/auth/details": {} };
      return { json: answers[path as keyof typeof answers] ?? (path.includes("/reverse") ? key : record) };
    });
    await using stack = await createStack(
      engine,
      `import * as ovh from "@ovhcloud/pulumi-ovh";
       const provider = new ovh.Provider("ovh", {
         endpoint: "${api.url}/1.0", applicationKey: "ak", applicationSecret: "as", consumerKey: "ck",
       });
       new ovh.ip.Reverse("reverse",
         { ip: "203.0.113.10/32", ReverseIp: "203.0.113.10", ReverseValue: "n8n.example.com." }, { provider });
       new ovh.domain.ZoneRecord("record",
         { zone: "example.com", subdomain: "n8n", fieldtype: "A", ttl: 60, target: "203.0.113.10" }, { provider });`,
    );

    expect(await stack.pulumi("preview")).toMatchObject({ code: 0 });
    expect(new Set(api.lines())).toEqual(new Set(["GET /1.0/auth/time", "GET /1.0/auth/details"]));
    expect(await stack.pulumi("up", "--yes", "--skip-preview")).toMatchObject({ code: 0 });
    expect(await stack.pulumi("preview", "--refresh", "--expect-no-changes")).toMatchObject({ code: 0 });
    expect(await stack.pulumi("destroy", "--yes", "--skip-preview")).toMatchObject({ code: 0 });

    expect(api.lines().filter((line) => !line.startsWith("GET"))).toEqual(
      expect.arrayContaining([
        'POST /1.0/ip/203.0.113.10%2F32/reverse {"ipReverse":"203.0.113.10","reverse":"n8n.example.com."}',
        'POST /1.0/domain/zone/example.com/record {"target":"203.0.113.10","ttl":60,"fieldType":"A","subDomain":"n8n"}',
        "DELETE /1.0/ip/203.0.113.10%2F32/reverse/203.0.113.10",
        "DELETE /1.0/domain/zone/example.com/record/7",
      ]),
    );
  });
});
