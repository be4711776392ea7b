/** The script that has a program of the monitoring read its files again, against a program that takes or refuses them. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, describe, expect, it } from "vitest";

import { type Ended, tryRun } from "../../common/run.ts";

const SCRIPT = fileURLToPath(new URL("../../components/scripts/monitoring-reload.sh", import.meta.url));

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** What a program does when it is asked to reload. */
interface Program {
  readonly isRunning?: boolean;
  readonly code?: number;
  readonly isRefused?: boolean;
}

async function reload(alias: string, program: Program): Promise<Ended & { readonly asked: string[] }> {
  const asked: string[] = [];
  const names = {
    metrics: ["vm_promscrape_config", "vm_promscrape_config_reloads_errors_total"],
    "metric-rules": ["vmalert_config", "vmalert_config_last_reload_errors_total"],
  } as Readonly<Record<string, readonly string[]>>;
  const [prefix, errors] = names[alias] ?? [];
  const state = { errors: 0, at: 100, isRight: true };
  const server = createServer(({ method, url }, response) => {
    asked.push(`${method} ${url}`);
    if (url === "/-/reload") {
      if (program.isRefused === true) Object.assign(state, { errors: 1, isRight: false });
      else state.at = 200;
      response.writeHead(program.code ?? 200).end("line 7: no such field");
      return;
    }
    response.end(
      `${errors} ${state.errors}\n${prefix}_last_reload_successful ${state.isRight ? 1 : 0}\n` +
        `${prefix}_last_reload_success_timestamp_seconds ${state.at}\n`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const folder = await mkdtemp(join(tmpdir(), "reload-"));
  closing.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => rm(folder, { recursive: true }),
  );
  const container = program.isRunning === false ? "" : "abc";
  await writeFile(
    join(folder, "docker"),
    `#!/bin/bash\ncase $1 in ps) echo '${container}' ;; logs) echo 'error: bad expression' ;; esac\n`,
  );
  await chmod(join(folder, "docker"), 0o755);
  const { port } = server.address() as AddressInfo;
  const environment = { PATH: `${folder}:${process.env["PATH"]}` };
  return { ...(await tryRun(["bash", SCRIPT, alias, String(port)], { environment })), asked };
}

describe("a reload of a program of the monitoring", () => {
  it("does nothing while it does not run, because it reads its files when it starts", async () => {
    expect(await reload("metrics", { isRunning: false })).toMatchObject({ code: 0, asked: [] });
  });

  it.each(["metrics", "metric-rules", "alerts"])("succeeds when %s takes its new files", async (alias) => {
    const { code, asked } = await reload(alias, {});

    expect(code).toBe(0);
    expect(asked).toContain("POST /-/reload");
  });

  it.each(["metrics", "metric-rules"])(
    "fails with the reason in its log when %s goes on with those from before",
    async (alias) => {
      const { code, stderr } = await reload(alias, { isRefused: true });

      expect(code).toBe(1);
      expect(stderr).toContain(`expected ${alias} to take its new files, got error: bad expression`);
    },
  );

  it("fails with the answer of a program that says at once what is wrong", async () => {
    const { code, stderr } = await reload("alerts", { code: 500 });

    expect(code).toBe(1);
    expect(stderr).toContain("got 500: line 7: no such field");
  });
});
