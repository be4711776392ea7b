import { appendFile, writeFile } from "node:fs/promises";

import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import { readArguments, type Commands, type Outcome } from "../command.ts";
import { installTools } from "./install.ts";
import { makeLock } from "./lock.ts";
import { LOCK_FILE, PLATFORMS, pulumiTools, readLock, scannerTool, type Tool } from "./tools.ts";

/** This machine, in the words of Node.js. */
const HERE = { os: process.platform, arch: process.arch };

export const commands: Commands = {
  tools: {
    usage: "npm run tools -- install pulumi|scanner|lock",
    summary: "installs Pulumi or the scanner after comparing checksums; lock writes the checksums",
    async run(args) {
      const { positionals } = readArguments(this.usage, args, {});
      const words = positionals.join(" ");
      if (words === "lock") return await lock();
      if (words === "install pulumi") return await installPulumi();
      if (words === "install scanner") return await install([scannerTool(HERE)]);
      throw new UserError(
        `expected install pulumi, install scanner or lock, got ${words || "nothing"}\nusage: ${this.usage}`,
      );
    },
  },
};

async function installPulumi(): Promise<Outcome> {
  const tools = await pulumiTools(HERE);
  const outcome = await install(tools);
  const { GITHUB_ENV: file } = process.env;
  // Later steps of the job use these, and download no others.
  const variables = `PULUMI_VERSION=${tools[0]?.version ?? ""}\nPULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true\n`;
  if (file) await appendFile(file, variables);
  return outcome;
}

async function install(tools: readonly Tool[]): Promise<Outcome> {
  await installTools(tools, await readLock(), { fetch: systemFetch, variables: process.env });
  return { text: tools.map(({ name, version }) => `${name} ${version}`).join("\n"), exitCode: 0 };
}

async function lock(): Promise<Outcome> {
  const tools = await Promise.all(
    PLATFORMS.map(async (platform) => [...(await pulumiTools(platform)), scannerTool(platform)]),
  );
  const made = await makeLock(tools.flat(), { fetch: systemFetch, token: process.env["GITHUB_TOKEN"] });
  await writeFile(LOCK_FILE, `${JSON.stringify(made, undefined, 2)}\n`);
  return {
    text: `tools.lock.json: ${Object.keys(made).length} archives; look at git diff tools.lock.json`,
    exitCode: 0,
  };
}
