/** `technicia:host:Packages`: Debian packages that are installed, at whatever version the distribution has. */
import { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";

const TIMEOUT_SECONDS = 900;
const MAX_LOCK_SECONDS = 300;

const schema = z.strictObject({
  names: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, "the name of a Debian package, without version"))
    .min(1, "at least one package")
    .transform((names) => [...new Set(names)].sort()),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  readonly versions: Readonly<Record<string, string>>;
}

/** Separates the output of apt from the versions. */
const VERSIONS = "technicia-versions:";

// The query succeeds for unknown packages, too; they are missing in its output.
const QUERY = `
query() { dpkg-query --show --showformat '\${Package} \${db:Status-Abbrev} \${Version}\\n' -- $NAMES 2>/dev/null || true; }`;

const INSTALL = `
${QUERY}
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1
options=(-y -o DPkg::Lock::Timeout="$LOCK_SECONDS" -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0)

missing() { installed=$(query | awk '$2 == "ii" { print $1 }'); for name in $NAMES; do [[ $'\\n'$installed$'\\n' == *$'\\n'$name$'\\n'* ]] || echo "$name"; done; }
update() {
  # The lock of the package lists has no time limit of its own in apt.
  for ((waited = 0; ; waited++)); do
    # Descriptions of packages in words are 6 MB that nobody reads here.
    if said=$(apt-get "\${options[@]}" -o Acquire::Languages=none -o APT::Update::Error-Mode=any update 2>&1); then printf '%s\\n' "$said"; return; fi
    if [ "$waited" -ge "$LOCK_SECONDS" ] || [[ $said != *'Could not get lock'* ]]; then printf '%s\\n' "$said" >&2; return 1; fi
    echo "waiting for another apt to end"; sleep 1
  done
}

# What an interrupted dpkg left makes every later apt-get refuse.
if [ -n "$(dpkg --audit)" ] || [ -n "$(ls /var/lib/dpkg/updates)" ]; then
  echo "finishing an interrupted installation"
  for ((waited = 0; ; waited++)); do
    if said=$(dpkg --configure -a --force-confdef --force-confold 2>&1 </dev/null); then break; fi
    if [ "$waited" -ge "$LOCK_SECONDS" ] || [[ $said != *lock* ]]; then printf '%s\\n' "$said" >&2; exit 1; fi
    sleep 1
  done
fi

wanted=$(missing)
if [ -n "$wanted" ]; then
  if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mmin -60 -print -quit)" ]; then update; fi
  for name in $wanted; do
    if ! apt-cache show -- "$name" >/dev/null 2>&1; then update; break; fi
  done
  apt-get "\${options[@]}" --no-install-recommends install -- $wanted
fi
still=$(missing)
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

  async create(call, { names }) {
    return { id: names.join(","), outputs: { versions: await install(call, names) } };
  },

  async read(call, { id, inputs }) {
    const names = inputs.names ?? namesOf(id);
    const { stdout } = await call.host.run({
      purpose: `look for the packages ${names.join(", ")}`,
      script: `${QUERY}\nquery`,
      variables: { NAMES: names.join(" ") },
      signal: call.signal,
      onWaiting: call.log.status,
    });
    const versions = parseVersions(stdout);
    const present = names.filter((name) => name in versions);
    return present.length === 0 ? null : { id, inputs: { names: present }, outputs: { versions } };
  },

  async update(call, _existing, { names }) {
    return { versions: await install(call, names) };
  },

  async delete() {
    // Other programs may depend on them by now, and removing one may remove more.
  },
};

async function install(call: Call, names: readonly string[]): Promise<Outputs["versions"]> {
  const timeoutSeconds = call.timeoutSeconds ?? TIMEOUT_SECONDS;
  const lockSeconds = Math.min(MAX_LOCK_SECONDS, Math.floor(timeoutSeconds / 2));
  let isAptOutput = true;
  try {
    // Only one apt can run at a time. Waiting here reports that and does not use up the time limit of the lock.
    const { stdout } = await call.host.exclusively("apt", () =>
      call.host.run({
        purpose: `install the packages ${names.join(", ")}`,
        script: INSTALL,
        variables: { NAMES: names.join(" "), LOCK_SECONDS: String(lockSeconds) },
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
