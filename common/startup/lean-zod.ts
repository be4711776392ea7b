import { registerHooks } from "node:module";

/**
 * Keeps zod's words in sixty languages from being loaded, half of what it takes at every start of a process: nothing here asks for
 * `z.locales`, and zod brings its English by itself. Has to run before zod is imported.
 */
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "../locales/index.js" && context.parentURL?.includes("/node_modules/zod/") === true
      ? { url: "data:text/javascript,", format: "module", shortCircuit: true }
      : next(specifier, context),
});
