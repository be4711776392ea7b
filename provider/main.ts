/** Every kind of resource that the provider `technicia` has. */
import { file } from "./host/file.ts";
import { hostKey } from "./host/host-key.ts";
import { image } from "./host/image.ts";
import { packages } from "./host/packages.ts";
import { state } from "./host/state.ts";
import { unit } from "./host/unit.ts";
import { content } from "./n8n/resource.ts";
import { edgeFirewall } from "./ovh/firewall/resource.ts";
import { reverseName } from "./ovh/reverse.ts";
import { vps } from "./ovh/vps/resource.ts";
import { serve } from "./plugin/serve.ts";

await serve(
  [hostKey, file, image, packages, unit, state, content, vps, edgeFirewall, reverseName],
  process.argv.slice(2),
);
