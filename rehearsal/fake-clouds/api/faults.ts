import type { Api } from "./calls.ts";

/** A failure to be injected into some of the calls that match. */
export interface Fault {
  readonly api: Api;
  /** @default any method */
  readonly method?: string;
  /** Regular expression over the raw path below the API's base, query included. */
  readonly path: string;
  /**
   * Which matching call is the first to fail, counted from 1.
   *
   * @default 1
   */
  readonly nth?: number;
  /**
   * How many calls fail in a row; 0 means all that follow.
   *
   * @default 1
   */
  readonly times?: number;
  /** Status to answer with. @default the real answer */
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the call takes effect although `status` is answered. @default false */
  readonly perform?: boolean;
  /** Time to wait before anything else happens. */
  readonly delayMs?: number;
  /** Drop the connection without an answer, before or after the call took effect, or within the answer. */
  readonly cut?: "before" | "after" | "within";
}

interface Armed {
  readonly fault: Fault;
  readonly path: RegExp;
  seen: number;
}

/** The faults that are set, and which call meets which. */
export class Faults {
  #armed: Armed[] = [];

  add(fault: Fault): void {
    const path = new RegExp(fault.path);
    if (fault.status === undefined && fault.cut === undefined && fault.delayMs === undefined) {
      throw new Error("fault: expected one of status, cut or delayMs, got none of them");
    }
    this.#armed.push({ fault, path, seen: 0 });
  }

  list(): readonly (Fault & { seen: number })[] {
    return this.#armed.map(({ fault, seen }) => ({ ...fault, seen }));
  }

  clear(): void {
    this.#armed = [];
  }

  /** Counts this call and returns the fault that it meets. */
  meet(api: Api, method: string, path: string): Fault | undefined {
    let met: Fault | undefined;
    for (const armed of this.#armed) {
      const { fault } = armed;
      if (fault.api !== api || (fault.method && fault.method.toUpperCase() !== method)) continue;
      if (!armed.path.test(path)) continue;
      armed.seen += 1;
      const first = fault.nth ?? 1;
      const times = fault.times ?? 1;
      if (armed.seen >= first && (times === 0 || armed.seen < first + times)) met ??= fault;
    }
    return met;
  }
}

export function describeFault(fault: Fault): string {
  const what = [
    fault.status && `status ${fault.status}`,
    fault.cut && `cut ${fault.cut}`,
    fault.delayMs && `delay ${fault.delayMs} ms`,
  ];
  return what.filter(Boolean).join(", ");
}
