/**
 * How scripts reach the host and how their end is seen.
 *
 * A shell on the host takes one program after the other from its standard input, so that sudo and sshd have their work once. A program runs in
 * a process group of its own. While it runs, that input is its lifeline: when it ends, because the call was cancelled, the time is over, or the
 * machine that runs us is gone, the program and all it started are killed. Lines with a random mark tell where the output of a program begins
 * and ends, so that neither a chatty login nor a daemon that holds the output open is taken for a part of it.
 */

export interface Program {
  /** Bash, run with `set -euo pipefail`. */
  readonly script: string;
  /** Shell variables, not exported. */
  readonly variables: Readonly<Record<string, string>>;
  /** What the script reads from its standard input; nothing when undefined. */
  readonly stdin: string | Buffer | undefined;
  /** Stands in the lines before and after its output. */
  readonly mark: string;
}

/** What a program printed on one of its outputs, and how it ended. */
export interface Ending {
  readonly text: string;
  readonly code: number;
  /** Whether something that it started still runs, and may still print. */
  readonly isHaunted: boolean;
}

// A connection that breaks off in the middle must not run the first half of a program.
const SEALED = "#sealed";

/** Grace between asking a program to end and ending it. */
const GRACE_SECONDS = 5;

/** Up to here bash reads by itself, which spares a process; beyond, `head` is faster. */
const SMALL_BYTES = 65_536;

/** Bash that runs programs. The braces make bash read all of it before it runs any, and not a byte of what follows. */
export const SHELL = `{
set -m
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022; cd /
LC_ALL=C
exec 3<&0 </dev/null 4>&2 2>/dev/null
take() {
  if [ "$2" = 0 ]; then printf -v "$1" ''
  elif [ "$2" -gt ${SMALL_BYTES} ]; then printf -v "$1" %s "$(head -c "$2" <&3)"
  else IFS= read -r -N "$2" -u 3 "$1"; fi
}
while read -r mark size length <&3; do
  take program "$size"; take input "$length"
  [ "\${program: -${SEALED.length}}" = '${SEALED}' ] && [ "\${#input}" = "$length" ] || exit 125
  printf '\\n%s begin\\n' "$mark"; printf '\\n%s begin\\n' "$mark" >&4
  ( exec 2>&4 3<&- 4>&-; set +m; export LC_ALL=C.UTF-8
    # Asked to end, this shell must outlast the one of the program, which may have to tidy up.
    if [ -n "$input" ]; then trap : TERM; printf %s "$input" | base64 -d | eval "$program"; else eval "$program"; fi ) &
  job=$!
  ( exec >/dev/null 4>&-
    while read -r _ <&3; do :; done
    kill -TERM -- "-$job"
    for _ in {1..${GRACE_SECONDS * 10}}; do sleep 0.1; kill -0 -- "-$job" || exit 0; done
    kill -KILL -- "-$job" ) &
  watch=$!
  unset program input
  code=0; wait "$job" || code=$?
  # The lifeline is at its end: what is left of the program is being killed.
  if kill -0 -- "-$job" && read -t 0 -u 3; then wait "$watch"; fi
  haunted=0; if kill -0 -- "-$job"; then haunted=1; fi
  kill -KILL -- "-$watch"; wait "$watch"
  printf '\\n%s end %s %s\\n' "$mark" "$code" "$haunted"; printf '\\n%s end %s %s\\n' "$mark" "$code" "$haunted" >&4
done
exit 0
}
`;

/** A program as the shell takes it. */
export function frame({ script, variables, stdin, mark }: Program): string {
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
  const body = [...assignments, "set -euo pipefail", script, SEALED].join("\n");
  const input = (typeof stdin === "string" ? Buffer.from(stdin) : (stdin ?? Buffer.alloc(0))).toString(
    "base64",
  );
  return `${mark} ${Buffer.byteLength(body)} ${input.length}\n${body}${input}`;
}

/** One word of bash, whatever the text holds. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Where the program's output begins; undefined as long as it has not begun. */
export function beginning(output: Buffer, mark: string): number | undefined {
  const line = `\n${mark} begin\n`;
  const start = output.indexOf(line);
  return start < 0 ? undefined : start + line.length;
}

/** The program's output and how it ended; undefined as long as it has not. */
export function ending(output: Buffer, mark: string): Ending | undefined {
  const line = `\n${mark} end `;
  const start = output.lastIndexOf(line);
  const match =
    start < 0 ? null : /^(\d+) ([01])\n/.exec(output.subarray(start + line.length).toString("latin1"));
  if (match === null) {
    return undefined;
  }
  const from = beginning(output, mark) ?? 0;
  return {
    text: output.subarray(Math.min(from, start), start).toString("utf8"),
    code: Number(match[1]),
    isHaunted: match[2] === "1",
  };
}
