/** `technicia:host:Unit`: whether systemd starts a unit at boot, and whether it runs. */
import { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import { PartialFailure, type Call, type ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";
import { loginGuard, runGuarded } from "./login-guard.ts";
import { APPLY, EXIT, INSPECT } from "./unit-scripts.ts";

const TIMEOUT_SECONDS = 300;

const schema = z.strictObject({
  unit: z
    .string()
    .regex(
      /^[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|target|path|mount|automount|swap|slice)$/,
      "a full unit name, such as nginx.service",
    ),
  enabled: z.boolean(),
  active: z.boolean(),
  masked: z.boolean().optional(),
  triggers: z.array(z.string()).optional(),
  guard: loginGuard.optional(),
});

type Inputs = z.infer<typeof schema>;

/** What `systemctl is-enabled` printed and whether the unit ran before this resource existed. */
interface Previous {
  readonly enablement: string;
  readonly active: boolean;
}

interface Outputs {
  readonly loadState: string;
  readonly previous: Previous;
}

interface Seen extends Previous {
  readonly loadState: string;
}

type Wanted = Pick<Inputs, "unit" | "active" | "guard"> & {
  readonly enablement: "enabled" | "disabled" | "masked";
  readonly restart: boolean;
};

export const unit: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:host:Unit",
  schema,
  outputs: ["loadState", "previous"],
  replaceOn: ["unit"],

  checkTogether: ({ enabled, active, masked }) =>
    masked === true && (enabled === true || active === true)
      ? ["masked: expected false for a unit that is enabled or active, got true; leave it out"]
      : [],

  async create(call, inputs) {
    const previous = await inspect(call, inputs.unit);
    try {
      const { loadState } = await apply(call, wantedOf(inputs, false));
      return { id: inputs.unit, outputs: { loadState, previous: toPrevious(previous) } };
    } catch (error) {
      const hasRun =
        error instanceof CommandFailure ||
        (error instanceof UserError && error.cause instanceof CommandFailure);
      if (!hasRun || previous.loadState === "not-found") throw error;
      // The unit may already start at boot, and deleting this resource has to undo that.
      throw new PartialFailure(error.message, {
        id: inputs.unit,
        outputs: { loadState: previous.loadState, previous: toPrevious(previous) } satisfies Outputs,
        cause: error,
      });
    }
  },

  async read(call, { id, inputs, outputs }) {
    const seen = await inspect(call, id);
    if (seen.loadState === "not-found") return null;
    return {
      id,
      inputs: {
        ...inputs,
        unit: id,
        enabled: isEnabled(seen, inputs.enabled),
        active: seen.active,
        ...(inputs.masked === undefined ? {} : { masked: seen.enablement.startsWith("masked") }),
      },
      outputs: { loadState: seen.loadState, previous: outputs.previous ?? toPrevious(seen) },
    };
  },

  async update(call, existing, news) {
    const restart = JSON.stringify(existing.inputs.triggers ?? []) !== JSON.stringify(news.triggers ?? []);
    const { loadState } = await apply(call, wantedOf(news, restart));
    return { loadState, previous: existing.outputs.previous };
  },

  async delete(call, { id, inputs: { guard }, outputs: { previous } }) {
    const seen = await inspect(call, id);
    if (seen.loadState === "not-found") return;
    const enablement = previous.enablement.startsWith("masked")
      ? "masked"
      : isEnabled(previous, false)
        ? "enabled"
        : "disabled";
    await apply(call, { unit: id, active: previous.active, enablement, restart: false, guard });
  },
};

function wantedOf({ unit: name, enabled, active, masked, guard }: Inputs, restart: boolean): Wanted {
  const enablement = masked === true ? "masked" : enabled ? "enabled" : "disabled";
  return { unit: name, active, enablement, restart, guard };
}

async function inspect(call: Call, name: string): Promise<Seen> {
  const { stdout } = await call.host.run({
    purpose: `look at the unit ${name}`,
    script: INSPECT,
    variables: { UNIT: name },
    signal: call.signal,
    onWaiting: call.log.status,
  });
  return parse(stdout);
}

async function apply(call: Call, { unit: name, active, enablement, restart, guard }: Wanted): Promise<Seen> {
  try {
    const { stdout } = await runGuarded(call, guard, {
      purpose: `bring the unit ${name} to ${enablement} and ${active ? "active" : "inactive"}`,
      script: APPLY,
      variables: {
        UNIT: name,
        ENABLEMENT: enablement,
        ACTIVE: active ? "yes" : "no",
        RESTART: restart ? "yes" : "no",
      },
      timeoutSeconds: call.timeoutSeconds ?? TIMEOUT_SECONDS,
      signal: call.signal,
      onWaiting: call.log.status,
    });
    return parse(stdout);
  } catch (error) {
    throw error instanceof CommandFailure ? explain(error, call, name) : error;
  }
}

function explain(failure: CommandFailure, call: Call, name: string): UserError {
  switch (failure.exitCode) {
    case EXIT.notFound:
      return new UserError(
        `unit: expected a unit that ${call.host.name} has, got ${name}; write or install its file first (dependsOn)`,
        { cause: failure },
      );
    case EXIT.notInstallable:
      return new UserError(
        `enabled: expected false, got true; ${name} has no [Install] section, so nothing can start it at boot`,
        { cause: failure },
      );
    case EXIT.oneshot:
      return new UserError(
        `active: expected false, got true; ${name} is a oneshot unit without RemainAfterExit, which is never active once it is done`,
        { cause: failure },
      );
    default:
      return failure;
  }
}

function parse(output: string): Seen {
  const fields = new Map(
    output.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  return {
    loadState: fields.get("LoadState") ?? "not-found",
    enablement: fields.get("enablement") ?? "",
    active: ["active", "reloading"].includes(fields.get("ActiveState") ?? ""),
  };
}

function toPrevious({ enablement, active }: Seen): Previous {
  return { enablement, active };
}

// Indirect units are enabled through others, so systemd cannot say whether this one was enabled on purpose.
function isEnabled({ enablement }: Pick<Seen, "enablement">, wanted: boolean | undefined): boolean {
  return enablement === "enabled" || enablement === "alias" || (enablement === "indirect" && wanted === true);
}
