/** `technicia:host:Packages`: Debian packages that are installed, at whatever version the distribution has. */
import { z } from "zod";
import { script } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";

const INSTALL_SECONDS = 900;
/** The upgrades of a first boot, months of them, take that long. */
const MAX_LOCK_SECONDS = 1200;

const name = z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, "the name of a Debian package, without version");
const sorted = (names: readonly string[]) => [...new Set(names)].sort();

const schema = z.strictObject({
  names: z.array(name).min(1, "at least one package").transform(sorted),
  /** Packages that only some releases have: installed where the sources know them. */
  namesIfKnown: z.array(name).transform(sorted).optional(),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  readonly versions: Readonly<Record<string, string>>;
}

/** Separates the output of apt from the versions. */
const VERSIONS = "technicia-versions:";

const APT = script(new URL("scripts/apt.sh", import.meta.url));

/** Begins the line in which `apt.sh` names the units of the first boot that did not end in time. */
const BUSY = "technicia-busy:";

// The query succeeds for unknown packages, too; they are missing in its output.
const QUERY = `
query() { dpkg-query --show --showformat '\${Package} \${db:Status-Abbrev} \${Version}\\n' -- $NAMES $IF_KNOWN 2>/dev/null || true; }`;

const INSTALL = `
${APT}
${QUERY}
missing() { installed=$(query | awk '$2 == "ii" { print $1 }'); for name; do [[ $'\\n'$installed$'\\n' == *$'\\n'$name$'\\n'* ]] || echo "$name"; done; }
known() { for name; do if [ -n "$(apt-cache madison -- "$name" 2>/dev/null)" ]; then echo "$name"; fi; done; }

deadline=$((SECONDS + LOCK_SECONDS))
if [ -n "$(missing $NAMES $IF_KNOWN)" ] || interrupted; then await_first_boot; fi
finish_interrupted

if [ -n "$(missing $NAMES $IF_KNOWN)" ]; then
  wanted=$(missing $NAMES)
  if [ -n "$wanted" ] && [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mmin -60 -print -quit)" ]; then update; fi
  for name in $wanted; do
    if ! apt-cache show -- "$name" >/dev/null 2>&1; then update; break; fi
  done
  wanted=$(missing $NAMES $(known $IF_KNOWN))
  if [ -n "$wanted" ]; then
    apt-get "\${options[@]}" -o DPkg::Lock::Timeout="$(seconds_left)" --no-install-recommends install -- $wanted
  fi
fi
still=$(missing $NAMES)
if [ -n "$still" ]; then echo "not installed although apt-get succeeded (a virtual package?): $still" >&2; exit 1; fi
echo ${VERSIONS}
query`;

export const packages: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:host:Packages",
  schema,
  outputs: ["versions"],
  replaceOn: [],

  preview(_call, { names }, existing) {
    const versions = existing?.outputs.versions;
    return versions !== undefined && names?.every((name) => name in versions) ? { versions } : {};
  },

  async create(call, inputs) {
    return { id: inputs.names.join(","), outputs: { versions: await install(call, inputs) } };
  },

  async read(call, { id, inputs, outputs }) {
    const { namesIfKnown } = inputs;
    const names = inputs.names ?? namesOf(id);
    const { stdout } = await call.host.run({
      purpose: `look for the packages ${names.join(", ")}`,
      script: `${QUERY}\nquery`,
      variables: variablesOf({ names, namesIfKnown }),
      signal: call.signal,
      onWaiting: call.log.status,
    });
    const versions = parseVersions(stdout);
    const present = names.filter((name) => name in versions);
    if (present.length === 0) return null;
    // One that was never installed is one that the sources do not know.
    const kept = namesIfKnown?.filter((name) => name in versions || !(name in (outputs.versions ?? {})));
    return {
      id,
      inputs: { names: present, ...(kept === undefined ? {} : { namesIfKnown: kept }) },
      outputs: { versions },
    };
  },

  async update(call, _existing, news) {
    return { versions: await install(call, news) };
  },

  async delete() {
    // Other programs may depend on them by now, and removing one may remove more.
  },
};

function variablesOf({
  names,
  namesIfKnown = [],
}: {
  readonly names: readonly string[];
  readonly namesIfKnown?: readonly string[] | undefined;
}): Record<string, string> {
  return { NAMES: names.join(" "), IF_KNOWN: namesIfKnown.join(" ") };
}

async function install(call: Call, inputs: Inputs): Promise<Outputs["versions"]> {
  const timeoutSeconds = call.timeoutSeconds ?? INSTALL_SECONDS + MAX_LOCK_SECONDS;
  const lockSeconds = Math.min(MAX_LOCK_SECONDS, Math.floor(timeoutSeconds / 2));
  let isAptOutput = true;
  try {
    // Only one apt can run at a time. Waiting here reports that and does not use up the time limit of the lock.
    const { stdout } = await call.host.exclusively("apt", () =>
      call.host.run({
        purpose: `install the packages ${inputs.names.join(", ")}`,
        script: INSTALL,
        variables: { ...variablesOf(inputs), LOCK_SECONDS: String(lockSeconds) },
        timeoutSeconds,
        signal: call.signal,
        onLine: (line) => {
          isAptOutput &&= line !== VERSIONS;
          if (isAptOutput) call.log.status(line);
        },
        onWaiting: call.log.status,
      }),
    );
    return parseVersions(stdout.slice(stdout.lastIndexOf(VERSIONS)));
  } catch (error) {
    throw error instanceof CommandFailure ? explain(error, call, lockSeconds) : error;
  }
}

function explain(failure: CommandFailure, call: Call, lockSeconds: number): UserError {
  const busy = new RegExp(`^${BUSY} (.*)$`, "m").exec(failure.stderr);
  if (busy !== null) {
    return new UserError(
      `${call.host.name}: expected its first boot and its daily upgrade to end within ${lockSeconds} s, got ${busy[1] ?? ""} still at work; look at journalctl --unit there, then retry`,
      { cause: failure },
    );
  }
  const removed = /The following packages will be REMOVED:\n((?: .*\n)+)/.exec(failure.stdout);
  if (removed !== null && failure.stderr.includes("remove is disabled")) {
    const packages = (removed[1] ?? "").trim().split(/\s+/).join(" ");
    return new UserError(
      `names: expected packages that fit beside those of ${call.host.name}, got ones that would remove ${packages}; remove those yourself with sudo apt-get remove ${packages}, then retry`,
      { cause: failure },
    );
  }
  // apt prints the holder of the lock before the error, not in it.
  const holder = /held by process (\d+) \(([^)]*)\)/.exec(failure.stdout + failure.stderr);
  if (
    /Could not get lock|Unable to acquire the dpkg frontend lock|dpkg (frontend|database) lock/i.test(
      failure.stderr,
    )
  ) {
    const who = holder === null ? "another program" : `process ${holder[1] ?? ""} (${holder[2] ?? ""})`;
    return new UserError(
      `apt on ${call.host.name} has been locked by ${who} for ${lockSeconds} s; wait until it ends (unattended upgrades may take minutes), then retry`,
      { cause: failure },
    );
  }
  const unreachable =
    /(Could not connect|Could not resolve|Temporary failure resolving|Failed to fetch|Unable to connect)[^\n]*/.exec(
      failure.stderr,
    );
  if (unreachable !== null) {
    return new UserError(
      `apt on ${call.host.name}: expected its package sources to answer, got "${unreachable[0]}"; check the server's name servers and its outbound network access, then retry`,
      { cause: failure },
    );
  }
  const unknown = [
    ...failure.stderr.matchAll(
      /Unable to locate package (\S+)|Package '?([^'\s]+)'? has no installation candidate/g,
    ),
  ];
  if (unknown.length > 0) {
    const names = unknown.map((match) => match[1] ?? match[2]).join(", ");
    return new UserError(
      `names: expected packages that the host's sources have, got ${names}; check the spelling, and the sources of ${call.host.name}`,
      { cause: failure },
    );
  }
  return failure;
}

function namesOf(id: string): readonly string[] {
  const names = id.split(/[,\s]+/).filter((name) => name !== "");
  const result = schema.shape.names.safeParse(names);
  if (!result.success) {
    throw new UserError(
      `import of Packages: expected package names separated by commas, got ${JSON.stringify(id)}`,
    );
  }
  return result.data;
}

function parseVersions(output: string): Record<string, string> {
  const rows = output.split("\n").map((line) => line.split(" ").filter((word) => word !== ""));
  return Object.fromEntries(
    rows.filter(([, status]) => status === "ii").map(([name = "", , version = ""]) => [name, version]),
  );
}
