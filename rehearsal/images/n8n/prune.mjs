// Takes out of node_modules what no running program reads: the server pulls this image in every rehearsal. sqlite3 goes beside it, whole: the
// image compiles it.
import { readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const UNREAD = /\.(map|d\.ts|d\.mts|d\.cts|d\.ts\.gz|tsbuildinfo|md|markdown|flow|c|cc|cpp|h|hpp|gyp|o|a)$/i;
// The compiler reads its own declarations, and licences travel with what they cover.
const KEPT = /(^|\/)(typescript\/lib|node-addon-api)\/|licen[cs]e|notice/i;
const UNREAD_FOLDERS = new Set(["__tests__", ".github", "coverage"]);
const OTHER_PLATFORMS = /(darwin|win32|windows|android|freebsd|musl|alpine)/;
const BINARIES = /(^|\/)(prebuilds|bindings-cpp|@napi-rs)\/[^/]+$/;

let freed = 0;

function remove(path) {
  const { size } = statSync(path);
  rmSync(path, { recursive: true });
  freed += size;
}

function walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) continue;
    if (entry.isDirectory()) {
      const isForeign = BINARIES.test(path) && OTHER_PLATFORMS.test(entry.name);
      if (UNREAD_FOLDERS.has(entry.name) || isForeign) rmSync(path, { recursive: true });
      else walk(path);
    } else if (UNREAD.test(entry.name) && !KEPT.test(path)) {
      remove(path);
    }
  }
}

renameSync("node_modules/sqlite3", "sqlite3");
// Types alone: nothing requires them when no compiler runs.
for (const folder of ["@types", "@typespec/ts-http-runtime/dist/react-native"]) {
  rmSync(join("node_modules", folder), { recursive: true, force: true });
}
walk("node_modules");
console.log(`removed ${Math.round(freed / 1e6)} MB of files that nothing reads`);
