/** A stack whose configuration a rotation writes, and what the program would get of it at each deployment. */
import { parse, stringify } from "yaml";

import { UserError } from "../../../common/user-error.ts";
import { storedSecrets } from "../../../ops/engine/settings.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import type { Operator } from "../../../ops/deploy/session.ts";
import type { RotationWorld } from "../../../ops/rotation/world.ts";
import type { SecretName } from "../../../secrets/catalog.ts";
import { acceptedValues, valuesInEffect } from "../../../secrets/rotation.ts";
import { strongSecrets } from "../../support/fixtures.ts";
import { TestStack, type UpAnswer } from "../deploy/test-stack.ts";

interface Printed {
  [key: string]: { secret: boolean; value?: string };
}

/** What readers use, and what is accepted of it. */
export interface Seen {
  readonly used: string | undefined;
  readonly accepted: readonly string[];
}

export class RotatingStack implements AsyncDisposable {
  readonly stack: TestStack;

  /** Ciphertext → value: what is encrypted stays that wherever a file has it. */
  readonly #sealed = new Map<string, string>();
  #count = 0;

  /** What each update of the engine gave the program of the secret that is watched. */
  readonly seen: Seen[] = [];
  watched: SecretName = "qdrantApiKey";
  given: readonly string[] = [];

  /** How often n8n's credentials were compared, and what of them is stale then. */
  comparisons = 0;
  stale: () => readonly string[] = () => [];
  passwords = new Set<string>();
  up: () => Promise<UpAnswer> = () => Promise.resolve(undefined);

  /** Called before each call of the CLI that writes the configuration. */
  onWrite: (args: readonly string[]) => void = () => undefined;

  private constructor(stack: TestStack) {
    this.stack = stack;
  }

  static async open(): Promise<RotatingStack> {
    const rotating = new RotatingStack(await TestStack.open());
    for (const [name, value] of Object.entries(strongSecrets())) rotating.set(`technicia:${name}`, value);
    rotating.stack.up = async () => {
      rotating.seen.push(rotating.#seenIn(rotating.stack.applied));
      return await rotating.up();
    };
    await deploy(
      { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
      rotating.operator,
    );
    rotating.seen.length = 0;
    rotating.stack.instead = (command) =>
      command.purpose === "ask Qdrant with the old key"
        ? Promise.resolve({ stdout: rotating.qdrantAnswers, stderr: "" })
        : undefined;
    return rotating;
  }

  /** Status with which Qdrant answers the old key. */
  qdrantAnswers = "401";

  get operator(): Operator {
    const { operator } = this.stack;
    return { ...operator, pulumi: (call) => this.#pulumi(operator, call) };
  }

  get world(): RotationWorld {
    return {
      operator: this.operator,
      deploy,
      staleCredentials: () => {
        this.comparisons += 1;
        return Promise.resolve(this.stale());
      },
      passwords: () =>
        Promise.resolve({
          add: (password) => Promise.resolve(void this.passwords.add(password)),
          remove: (password) => Promise.resolve(void this.passwords.delete(password)),
        }),
      readGiven: () => Promise.resolve(this.given),
    };
  }

  /** The secrets as the settings file has them, and the rotation. */
  get stored() {
    return storedSecrets(this.#decrypted(this.stack.settings));
  }

  set(key: string, value: string): void {
    const sealed = `v1:${(this.#count += 1)}`;
    this.#sealed.set(sealed, value);
    this.#edit((config) => (config[key] = { secure: sealed }));
  }

  change(change: (config: Record<string, unknown>) => void): void {
    this.#edit(change);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
  }

  #edit(change: (config: Record<string, unknown>) => void): void {
    const file = parse(this.stack.settings) as { config: Record<string, unknown> };
    change(file.config);
    this.stack.settings = stringify(file);
  }

  async #pulumi(operator: Operator, call: Parameters<Operator["pulumi"]>[0]): Promise<string> {
    const [command, verb] = call.args;
    if (command !== "config" || verb?.startsWith("--") === true) return await this.#read(operator, call);
    this.onWrite(call.args);
    const key = call.args.find((arg) => arg.startsWith("technicia:"))!;
    if (verb === "set" && call.args.includes("--secret")) this.set(key, call.input!);
    else if (verb === "rm" && !call.args.includes("--path")) this.#edit((config) => delete config[key]);
    else throw new UserError(`unexpected: pulumi ${call.args.join(" ")}`);
    return "";
  }

  async #read(operator: Operator, call: Parameters<Operator["pulumi"]>[0]): Promise<string> {
    const printed = await operator.pulumi(call);
    if (call.args[0] !== "config" || !call.args.includes("--show-secrets")) return printed;
    return JSON.stringify({ ...(JSON.parse(printed) as Printed), ...this.#decrypted(this.stack.settings) });
  }

  #decrypted(settings: string): Printed {
    const { config } = parse(settings) as { config: Record<string, unknown> };
    return Object.fromEntries(
      Object.entries(config).flatMap(([key, value]) => {
        const sealed = (value as { secure?: string } | null)?.secure;
        return sealed === undefined ? [] : [[key, { secret: true, value: this.#sealed.get(sealed) ?? "" }]];
      }),
    );
  }

  #seenIn(settings: string): Seen {
    const { values, rotation } = storedSecrets(this.#decrypted(settings));
    const stored = values as Partial<Record<SecretName, string>>;
    return {
      used: valuesInEffect(stored, rotation)[this.watched],
      accepted: acceptedValues(this.watched, { values: stored, rotation }),
    };
  }
}
