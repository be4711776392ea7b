import sdk from "@pulumi/command/package.json" with { type: "json" };

import { servePlugin } from "../server.ts";
import { createCommandType } from "./command.ts";
import { runLocally } from "./local.ts";
import { checkConnection, runRemotely } from "./remote.ts";

servePlugin({
  name: "command",
  version: sdk.pulumi.version,
  configure: () =>
    Promise.resolve({
      "command:local:Command": createCommandType({
        inputs: ["interpreter", "dir"],
        check: () => [],
        run: runLocally,
      }),
      "command:remote:Command": createCommandType({
        inputs: ["connection"],
        check: checkConnection,
        run: runRemotely,
      }),
    }),
});
