/** `npm run secrets`: which secrets of a stack are set, without reading one; and generating those that are ours. */
import {
  entryOf,
  isNeeded,
  NAMESPACE,
  isSecretName,
  keysByService,
  secretNames,
  type SecretName,
} from "../secrets/catalog.ts";
import { secretServices, type SecretsContext } from "../secrets/entry.ts";
import { contextIn } from "../secrets/context.ts";
import { onlyStack, readArguments, stackName, type Commands } from "./command.ts";
import { pulumiOnPath } from "./engine/cli.ts";
import { readConfiguration, type Configuration } from "./engine/settings.ts";
import { readState } from "./engine/state.ts";
import { renderTable } from "./terminal.ts";
import { parseUrn } from "../common/urn.ts";
import { UserError } from "../common/user-error.ts";

const ROTATION_OPTIONS = {
  "from-file": { type: "string" },
  undo: { type: "boolean", default: false },
  done: { type: "boolean", default: false },
  yes: { type: "boolean", default: false },
  emergency: { type: "boolean", default: false },
  reason: { type: "string", default: "" },
} as const;

export const commands: Commands = {
  secrets: {
    usage:
      'npm run secrets -- <stack> [--init] [--config-file <file>] | rotate [<name> [--from-file <file>] [--undo | --done] [--emergency --reason "…"] [--yes]]',
    summary:
      "lists the secrets that are set or missing; --init generates those that are ours; rotate lists how old they are, or replaces one without a gap",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        init: { type: "boolean" },
        "config-file": { type: "string" },
        ...ROTATION_OPTIONS,
      });
      if (positionals[1] === "rotate") {
        const [stack, , name, ...rest] = positionals;
        if (rest.length > 0 || values.init === true || values["config-file"] !== undefined)
          throw new UserError(`rotate: expected at most the name of one secret\nusage: ${this.usage}`);
        const { undo, done, yes, emergency, reason, "from-file": fromFile } = values;
        const { runRotation } = await import("./rotation/command.ts");
        return await runRotation({
          ...{ stack: stackName(stack!), name, undo, done, yes, emergency, reason: reason.trim(), fromFile },
        });
      }
      const alien = Object.keys(ROTATION_OPTIONS).filter((name) => args.includes(`--${name}`));
      if (alien.length > 0)
        throw new UserError(`--${alien.join(", --")}: expected rotate before it\nusage: ${this.usage}`);
      const request = { stack: onlyStack(this.usage, positionals), configFile: values["config-file"] };
      const act = values.init === true ? initializeSecrets : reportSecrets;
      const { text, complete } = await act(request);
      return { text, exitCode: complete ? 0 : 1 };
    },
  },
};

interface SecretsRequest {
  readonly stack: string;
  /** Settings file other than the stack's own. */
  readonly configFile?: string | undefined;
}

interface Found {
  readonly context: SecretsContext;
  readonly encrypted: ReadonlySet<SecretName>;
  readonly inClear: ReadonlySet<SecretName>;
}

interface SecretsReport {
  readonly text: string;
  /** Whether every secret that the stack needs is there and encrypted. */
  readonly complete: boolean;
}

async function reportSecrets(request: SecretsRequest): Promise<SecretsReport> {
  return report(request, await findSecrets(request));
}

/** Generates every missing secret of ours, needed now or later, and reports. Never replaces one. */
async function initializeSecrets(request: SecretsRequest): Promise<SecretsReport> {
  const found = await findSecrets(request);
  const missing = secretNames.filter((name) => !found.encrypted.has(name) && !found.inClear.has(name));
  const ours = missing.flatMap((name) => {
    const { generate } = entryOf(name);
    return generate ? [{ name, generate }] : [];
  });
  const made = ours.map(({ name }) => name);
  await refuseIrreplaceable(request.stack, made);

  for (const { name, generate } of ours) {
    await pulumiOnPath({
      args: ["config", "set", "--secret", `${NAMESPACE}:${name}`, ...target(request)],
      input: generate(),
    });
  }
  const encrypted = new Set([...found.encrypted, ...made]);
  const { text, complete } = report(request, { ...found, encrypted });
  const notice = made.length === 0 ? "no generated secret was missing" : `generated ${made.join(", ")}`;
  return { text: `${notice}\n\n${text}`, complete };
}

/** A key that deployed data depends on is not generated again, because that would make the data unreadable. */
async function refuseIrreplaceable(stack: string, names: readonly SecretName[]): Promise<void> {
  const irreplaceable = names.filter((name) => entryOf(name).irreplaceable !== undefined);
  if (irreplaceable.length === 0) return;
  const { resources } = await readState(stack, pulumiOnPath);
  // A failed first deployment has no outputs yet, but may have data.
  const isInUse = (name: SecretName) => {
    const { usedBy } = entryOf(name);
    return resources.some(({ type, urn }) =>
      usedBy === undefined ? !type.startsWith("pulumi:") : parseUrn(urn).name === usedBy,
    );
  };
  const inUse = irreplaceable.filter(isInUse);
  if (inUse.length === 0) return;
  const problems = inUse.map(
    (name) =>
      `${NAMESPACE}:${name}: stack ${stack} was deployed with a value that is now missing, and another one would lose data; ` +
      `set the old value with pulumi config set --secret ${NAMESPACE}:${name} --stack ${stack}`,
  );
  throw new UserError(problems.join("\n"));
}

async function findSecrets(request: SecretsRequest): Promise<Found> {
  const entries = Object.entries(await readConfiguration(request, pulumiOnPath)).flatMap(([key, entry]) => {
    const [namespace, name] = key.split(":");
    return namespace === NAMESPACE && name !== undefined ? [{ name, entry }] : [];
  });
  const settings = Object.fromEntries(entries.map(({ name, entry }) => [name, entry.objectValue]));
  const given = (isWanted: (entry: Configuration[string]) => boolean) =>
    new Set(
      entries
        .filter(({ entry }) => isWanted(entry))
        .flatMap(({ name }) => (isSecretName(name) ? [name] : [])),
    );
  return {
    context: contextIn(settings),
    encrypted: given((entry) => entry.secret),
    // Pulumi.yaml gives every secret the empty default.
    inClear: given((entry) => !entry.secret && entry.value !== undefined && entry.value !== ""),
  };
}

function report({ stack }: SecretsRequest, { context, encrypted, inClear }: Found): SecretsReport {
  const keys = keysByService(context, encrypted);
  const rows = secretServices.flatMap((service) =>
    secretNames
      .filter((name) => entryOf(name).services.includes(service))
      .map((name, index) => {
        const needed = isNeeded({ name, service }, { context, configured: encrypted });
        const state = inClear.has(name)
          ? "in clear"
          : encrypted.has(name)
            ? "configured"
            : needed
              ? "missing"
              : "not needed";
        return [index === 0 ? service : "", name, entryOf(name).givenBy === "us" ? "--init" : "you", state];
      }),
  );
  const missing = [...new Set(keys.flatMap((key) => key.missing))].filter((name) => !inClear.has(name));
  const commands = [
    ...[...inClear].map(
      (name) => `${name} is in clear and counts as known; set a new value with ${setCommand(stack, name)}`,
    ),
    ...missing.map((name) => remedy(stack, name)),
  ];
  const table = renderTable({ headings: ["Service", "Secret", "Given by", "State"], rows });
  return {
    text: commands.length === 0 ? table : `${table}\n\n${commands.join("\n")}`,
    complete: commands.length === 0,
  };
}

function remedy(stack: string, name: SecretName): string {
  const { description, givenBy } = entryOf(name);
  const how = givenBy === "us" ? `npm run secrets -- ${stack} --init` : setCommand(stack, name);
  return `${name} is missing (${description}); set it with ${how}`;
}

function setCommand(stack: string, name: SecretName): string {
  return `pulumi config set --secret ${NAMESPACE}:${name} --stack ${stack}`;
}

function target({ stack, configFile }: SecretsRequest): string[] {
  return ["--stack", stack, ...(configFile === undefined ? [] : ["--config-file", configFile])];
}
