import type { Call, Log, ResourceDefinition, Settings } from "../../../provider/plugin/definition.ts";
import { PartialFailure } from "../../../provider/plugin/definition.ts";

/** A resource as the engine keeps it between runs. */
export interface Saved {
  readonly id: string;
  readonly inputs: object;
  readonly outputs: object;
  /** Whether the last attempt failed half-way. */
  readonly isPartial: boolean;
}

export interface Told {
  readonly level: keyof Log;
  readonly message: string;
}

export interface StackOptions {
  readonly settings: Settings;
  readonly name?: string;
  readonly saved?: Saved | undefined;
  readonly signal?: AbortSignal;
}

/** One resource in a stack, driven in the order in which the engine does it. */
export class Stack<Inputs extends object, Outputs extends object> {
  readonly #definition: ResourceDefinition<Inputs, Outputs>;
  readonly #options: StackOptions;
  readonly told: Told[] = [];
  saved: Saved | undefined;

  constructor(definition: ResourceDefinition<Inputs, Outputs>, options: StackOptions) {
    this.#definition = definition;
    this.#options = options;
    this.saved = options.saved;
  }

  get outputs(): Outputs {
    return this.saved?.outputs as Outputs;
  }

  /** What was said at this level, in order. */
  said(level: keyof Log): readonly string[] {
    return this.told.filter((line) => line.level === level).map(({ message }) => message);
  }

  check(inputs: object): Inputs {
    const checked = this.#definition.schema.parse(inputs);
    const problems = this.#definition.checkTogether?.(checked) ?? [];
    if (problems.length > 0) throw new Error(problems.join("\n"));
    return checked;
  }

  async preview(inputs: object): Promise<Partial<Outputs>> {
    const news = this.check(inputs);
    return (await this.#definition.preview?.(this.#call(), news, this.#existing())) ?? {};
  }

  /** `pulumi up`: gives what was done. */
  async up(inputs: object): Promise<"created" | "updated" | "replaced" | "same"> {
    const news = this.check(inputs);
    const existing = this.#existing();
    if (!existing) {
      await this.#keep(news, () => this.#definition.create(this.#call(), news));
      return "created";
    }
    const changes = this.#definition.diff?.(existing, news) ?? [];
    const isReplaced =
      changes.some(({ replace }) => replace) ||
      this.#definition.replaceOn.some((key) => !isEqual(existing.inputs[key], news[key]));
    if (isReplaced) {
      const old = existing;
      await this.#keep(news, () => this.#definition.create(this.#call(), news));
      await this.#definition.delete(this.#call(), old);
      return "replaced";
    }
    if (changes.length === 0 && !this.saved?.isPartial && isEqual(existing.inputs, news)) return "same";
    const { id } = existing;
    await this.#keep(news, async () => ({
      id,
      outputs: await this.#definition.update(this.#call(), existing, news),
    }));
    return "updated";
  }

  /** `pulumi refresh`: gives whether what was recorded differs from what is there. */
  async refresh(): Promise<boolean> {
    const existing = this.#existing();
    if (!existing) return false;
    const found = await this.#definition.read(this.#call(), existing);
    const isDrifted = !found || !isEqual(found.inputs, existing.inputs);
    this.saved = found ? { ...found, isPartial: false } : undefined;
    return isDrifted;
  }

  async import(id: string): Promise<boolean> {
    const found = await this.#definition.read(this.#call(), { id, inputs: {}, outputs: {} });
    this.saved = found ? { ...found, isPartial: false } : undefined;
    return found !== null;
  }

  async destroy(): Promise<void> {
    const existing = this.#existing();
    if (existing) await this.#definition.delete(this.#call(), existing);
    this.saved = undefined;
  }

  async #keep(inputs: Inputs, act: () => Promise<{ id: string; outputs: Outputs }>): Promise<void> {
    try {
      this.saved = { ...(await act()), inputs, isPartial: false };
    } catch (error) {
      if (error instanceof PartialFailure) {
        this.saved = { id: error.id, outputs: error.outputs, inputs, isPartial: true };
      }
      throw error;
    }
  }

  #existing(): { id: string; inputs: Inputs; outputs: Outputs } | undefined {
    return this.saved && { id: this.saved.id, inputs: this.saved.inputs as Inputs, outputs: this.outputs };
  }

  #call(): Call {
    const tell =
      (level: keyof Log) =>
      (message: string): void => {
        this.told.push({ level, message });
      };
    return {
      urn: `urn:pulumi:test::technicia::${this.#definition.token}::${this.#options.name ?? "server"}`,
      settings: this.#options.settings,
      get host(): never {
        throw new Error("nothing at OVH needs a host");
      },
      log: { info: tell("info"), warning: tell("warning"), debug: tell("debug"), status: tell("status") },
      signal: this.#options.signal ?? new AbortController().signal,
      timeoutSeconds: undefined,
      secretInputs: new Set(),
      hide: () => undefined,
    };
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => a.localeCompare(b)).map(([key, inner]) => [key, sorted(inner)]),
  );
}
