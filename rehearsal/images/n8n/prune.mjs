// Takes out of node_modules what no running program reads: the server pulls this image in every rehearsal.
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { extname, join } from "node:path";

const UNREAD = /\.(map|ts|mts|cts|d\.ts\.gz|tsbuildinfo|md|markdown|flow|c|cc|cpp|h|hpp|gyp|o|a)$/i;
// TypeScript reads its own declarations, and licences travel with what they cover.
const KEPT = /(^|\/)typescript\/lib\/|licen[cs]e|notice/i;
const UNREAD_FOLDERS = new Set(["__tests__", ".github", "coverage"]);
const TESTS = new Set(["test", "tests"]);
// Many bring all they have twice and more: n8n requires their CommonJS, and nothing imports the rest.
const TWINS =
  /(^|\/)(@aws-sdk|@aws-crypto|@smithy)\/[^/]+\/dist-es$|(^|\/)(@azure|@azure-rest|@opentelemetry|@typespec)\/[^/]+\/(dist|build)\/(esm|esnext|browser|react-native)$/;
const TWIN_FOLDERS = new Set(["esm", "es", "es6", "dist-esm"]);
const COMMONJS_FOLDERS = ["cjs", "commonjs", "lib", "dist"];
const TWIN_FILES =
  /(^|\/)(@langchain\/[^/]+|langchain|langsmith|openai|groq-sdk|@anthropic-ai\/sdk|js-tiktoken)\//;
// For bundlers and browsers, or for programs that are older than Node's own modules.
const FOR_OTHERS =
  /(^|\/)(uuid\/dist\/(esm-browser|commonjs-browser|cjs-browser|umd)|underscore\/(amd|modules)|class-validator\/esm[0-9]+|libphonenumber-js\/(es6-modern|source)|moment\/(src|dist)|dayjs\/esm)$/;
// Each edition of the language has a folder of all its operations; what requires them names one of the last three.
const OLD_EDITIONS = /(^|\/)es-abstract\/(5|20(1[5-9]|2[0-2])|operations)$/;
const EDITORS =
  /^\.(idea|vscode|editorconfig|eslint.*|prettier.*|nycrc.*|npmignore|gitattributes|travis\.yml|jscs.*|jshint.*)$/;
const OTHER_PLATFORMS = /(darwin|win32|windows|android|freebsd|musl|alpine)/;
const BINARIES = /(^|\/)(prebuilds|bindings-cpp|@napi-rs)\/[^/]+$/;

let freed = 0;

function remove(path) {
  const { size } = statSync(path);
  rmSync(path, { recursive: true });
  freed += size;
}

/** Whether the same module stands beside it as CommonJS. */
function isTwin(path) {
  if (!TWIN_FILES.test(path)) return false;
  const [stem, extension] = [path.slice(0, path.lastIndexOf(".")), extname(path)];
  if (extension === ".mjs") return existsSync(`${stem}.js`) || existsSync(`${stem}.cjs`);
  return extension === ".js" && existsSync(`${stem}.cjs`);
}

function walk(folder) {
  const entries = readdirSync(folder, { withFileTypes: true });
  const hasCommonJs = entries.some((entry) => entry.isDirectory() && COMMONJS_FOLDERS.includes(entry.name));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) continue;
    if (entry.isDirectory()) {
      const isForeign = BINARIES.test(path) && OTHER_PLATFORMS.test(entry.name);
      // Deeper down a folder of that name may be the package itself.
      const isTest = TESTS.has(entry.name) && existsSync(join(folder, "package.json"));
      const isTwinFolder = TWINS.test(path) || (hasCommonJs && TWIN_FOLDERS.has(entry.name));
      const isNobodys = FOR_OTHERS.test(path) || OLD_EDITIONS.test(path) || EDITORS.test(entry.name);
      const isUnread = UNREAD_FOLDERS.has(entry.name) || isTest || isTwinFolder || isNobodys;
      if (isUnread || isForeign) rmSync(path, { recursive: true });
      else walk(path);
    } else if ((UNREAD.test(entry.name) && !KEPT.test(path)) || EDITORS.test(entry.name) || isTwin(path)) {
      remove(path);
    }
  }
}

// Types alone: nothing requires them when no compiler runs. What sqlite3 would be compiled from: the image brings it compiled.
for (const folder of ["@types", "sqlite3/deps"]) {
  rmSync(join("node_modules", folder), { recursive: true, force: true });
}
walk("node_modules");
console.log(`removed ${Math.round(freed / 1e6)} MB of files that nothing reads`);
