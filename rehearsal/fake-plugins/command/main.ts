import sdk from "@pulumi/command/package.json" with { type: "json" };

import { servePlugin } from "../serve.ts";
import { localCommand } from "./command.ts";

await servePlugin({
  name: "command",
  version: sdk.pulumi.version,
  configure: () => Promise.resolve({ "command:local:Command": localCommand }),
});
