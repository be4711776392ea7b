import { createRequire } from "node:module";
import type { Session } from "node:inspector";
import { debuglog } from "node:util";

/**
 * Keeps out of this program what Pulumi's SDK loads and starts so that a program can hand functions to the engine (dynamic providers, AWS
 * Lambdas): TypeScript's compiler, npm's reader of installed packages, and V8's debugger. They are three in five of the SDK's modules and
 * were a seventh of every preview; this program serializes none. Code that asks for them gets an error.
 *
 * Has to be imported before the SDK is.
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

const hooks = fromSdk("./runtime/closure/v8Hooks.js") as { getSessionAsync(): Promise<Session> };
const debuggerSession = await hooks.getSessionAsync();
debuggerSession.disconnect();
debuggerSession.post = () => refuse("V8's debugger");

// The SDK maps stack traces back to sources. Node runs these sources as they are, and loading the maps takes a second.
Reflect.deleteProperty(Error, "prepareStackTrace");

// The SDK makes three more calls per resource for lines that only `pulumi --debug` prints: a twelfth of every preview. NODE_DEBUG=pulumi
// sends them.
if (!debuglog("pulumi").enabled) {
  const log = fromSdk("./log/index.js") as { debug(): Promise<void> };
  log.debug = () => Promise.resolve();
}
