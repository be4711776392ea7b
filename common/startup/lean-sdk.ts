import { createRequire } from "node:module";
import { debuglog } from "node:util";

/**
 * Keeps out of this program what Pulumi's SDK loads so that a program can hand functions to the engine (dynamic providers, AWS Lambdas):
 * TypeScript's compiler and npm's reader of installed packages. They are three in five of the SDK's modules; this program serializes no
 * function. Code that asks for them gets an error.
 *
 * Has to be imported before the SDK is.
 *
 * Gain: 20 % of a quiet preview (4.7 s without this file, 3.7 s with it); about half of it is the source maps. Delete it when the SDK loads
 * these modules on demand, or when it saves less than a tenth.
 */
const fromSdk = createRequire(createRequire(import.meta.url).resolve("@pulumi/pulumi"));

function refuse(name: string): never {
  throw new Error(
    `${name}: expected a program that hands no function to the engine, got one; remove common/startup/lean-sdk.ts`,
  );
}

for (const name of ["./typescript-shim.js", "@npmcli/arborist"]) {
  const path = fromSdk.resolve(name);
  // What imports it as a namespace would copy its members here and now, unless it looks like a module of ES.
  const exports = new Proxy({}, { get: (_, key) => key === "__esModule" || refuse(name) });
  fromSdk.cache[path] ??= { exports, id: path, filename: path, loaded: true } as NodeJS.Module;
}

// The SDK maps stack traces back to sources. Node runs these sources as they are, and loading the maps takes a second.
Reflect.deleteProperty(Error, "prepareStackTrace");

// The SDK makes three more calls per resource for lines that only `pulumi --debug` prints. NODE_DEBUG=pulumi sends them.
if (!debuglog("pulumi").enabled) {
  const log = fromSdk("./log/index.js") as { debug(): Promise<void> };
  log.debug = () => Promise.resolve();
}
