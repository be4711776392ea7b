/**
 * How a script reaches the host and how its end is seen.
 *
 * Everything goes over standard input of one `bash -s`, whose command line says nothing. Standard input then stays open as a lifeline: when
 * it ends, because the call was cancelled, the time is over, or the machine that runs us is gone, the script and all it started are killed.
 * A line with a random mark after the output of the script tells its exit code, so that neither a daemon that holds the output open nor a
 * failing sudo is taken for the script's end.
 */

export interface Program {
  /** Bash, run with `set -euo pipefail`. */
  readonly script: string;
  /** Shell variables, not exported. */
  readonly variables: Readonly<Record<string, string>>;
  /** What the script reads from its standard input; nothing when undefined. */
  readonly stdin: string | Buffer | undefined;
  /** Printed after the script's output, with its exit code. */
  readonly mark: string;
}

const SEALED = "#sealed";

/** Grace between asking a script to end and ending it. */
const GRACE_SECONDS = 5;

export function render({ script, variables, stdin, mark }: Program): string {
  const body = [...Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`), "set -euo pipefail", script, SEALED].join("\n");
  const input = (typeof stdin === "string" ? Buffer.from(stdin) : (stdin ?? Buffer.alloc(0))).toString("base64");
  const size = Buffer.byteLength(body);

  // Bash reads the braces whole before it runs them, and `head` takes no byte too many: what follows the program is the lifeline.
  return `{
set -m
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
umask 022; cd /
program=$(head -c ${size}); input=$(head -c ${input.length})
case $program in *${quote(SEALED)}) ;; *) exit 125 ;; esac
[ "\${#input}" = ${input.length} ] || exit 125
exec 3<&0 </dev/null
if [ -n "$input" ]; then ( exec 3<&-; set +m; printf %s "$input" | base64 -d | eval "$program" ) & else ( exec 3<&-; set +m; eval "$program" ) & fi
job=$!
( while read -r _ <&3; do :; done
  kill -TERM -- "-$job"
  for _ in {1..${GRACE_SECONDS * 10}}; do sleep 0.1; kill -0 -- "-$job" || exit 0; done
  kill -KILL -- "-$job" ) >/dev/null 2>&1 &
watch=$!
unset program input
disown "$watch"
code=0; wait "$job" 2>/dev/null || code=$?
kill -KILL -- "-$watch" 2>/dev/null
printf '\\n%s %s\\n' ${mark} "$code"
printf '\\n%s %s\\n' ${mark} "$code" >&2
exit "$code"
}
${body}${input}`;
}

/** One word of bash, whatever the text holds. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Output up to the mark and the exit code after it; undefined as long as the mark is not there. */
export function splitAtMark(output: Buffer, mark: string): { readonly text: string; readonly code: number } | undefined {
  const start = output.lastIndexOf(`\n${mark} `);
  if (start < 0) {
    return undefined;
  }
  const code = /^(\d+)\n/.exec(output.subarray(start + mark.length + 2).toString("latin1"))?.[1];
  return code === undefined ? undefined : { text: output.subarray(0, start).toString("utf8"), code: Number(code) };
}
