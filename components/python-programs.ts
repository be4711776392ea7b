/** Programs of ours in Python: files on the host, which nobody gets that cannot be read. */
import { readdirSync } from "node:fs";

import type * as pulumi from "@pulumi/pulumi";

import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";

/** One file for each module of the folder `scripts`; `main` is the one that is run. */
export function createPrograms(
  name: string,
  { scripts, folder, main }: { readonly scripts: URL; readonly folder: string; readonly main: string },
  onHost: pulumi.CustomResourceOptions,
): technicia.File[] {
  const modules = readdirSync(scripts)
    .filter((file) => file.endsWith(".py"))
    .sort();
  return modules.map(
    (file) =>
      new technicia.File(
        `${name}-program-${file.replace(/\.py$/, "")}`,
        {
          path: `${folder}/${file}`,
          content: script(new URL(file, scripts)),
          mode: file === main ? "0755" : "0644",
          validate: 'python3 -B -c "import ast, sys; ast.parse(open(sys.argv[1]).read())" "$FILE"',
        },
        onHost,
      ),
  );
}
