import type { Clock } from "./clock.ts";

/** Something that a fake API will do later. Plain data, so that it survives a restart. */
export interface Job {
  readonly id: number;
  readonly at: number;
  readonly kind: string;
  readonly args: Readonly<Record<string, string | number>>;
}

/** The list that is kept with the rest of a fake API's state. */
export interface JobList {
  nextJobId: number;
  jobs: Job[];
  /** Jobs that failed, newest last. */
  failures: { kind: string; message: string }[];
}

export type JobHandler = (args: Job["args"]) => Promise<void> | void;

interface JobsOptions {
  readonly list: JobList;
  readonly clock: Clock;
  readonly handlers: Readonly<Record<string, JobHandler>>;
  /** Called after each job, when the state may have changed. */
  readonly onChange: () => void;
}

/** Runs jobs when they are due, one at a time and in order. */
export class Jobs {
  readonly #options: JobsOptions;
  readonly #alarms = new Map<number, () => void>();
  #tail: Promise<void> = Promise.resolve();
  #waiting: (() => void)[] = [];
  #stopped = false;

  constructor(options: JobsOptions) {
    this.#options = options;
    for (const job of options.list.jobs) this.#arm(job);
  }

  add(kind: string, args: Job["args"], delayMs: number): void {
    const { list, clock } = this.#options;
    const job = { id: list.nextJobId++, at: clock.now() + delayMs, kind, args };
    list.jobs.push(job);
    this.#arm(job);
  }

  /** Resolves when no job is left. A manual clock has to be advanced far enough for that. */
  settled(): Promise<void> {
    if (this.#options.list.jobs.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Starts no further job and waits for the one under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#alarms.values()) cancel();
    await this.#tail;
  }

  #arm(job: Job): void {
    this.#alarms.set(
      job.id,
      this.#options.clock.at(job.at, () => this.#run(job)),
    );
  }

  #run(job: Job): Promise<void> {
    this.#alarms.delete(job.id);
    this.#tail = this.#tail.then(() => this.#do(job));
    return this.#tail;
  }

  async #do(job: Job): Promise<void> {
    if (this.#stopped) return;
    const { list, handlers, onChange } = this.#options;
    try {
      const handler = handlers[job.kind];
      if (!handler) throw new Error(`no handler for the job "${job.kind}"`);
      await handler(job.args);
    } catch (error) {
      list.failures.push({ kind: job.kind, message: error instanceof Error ? error.message : String(error) });
    }
    list.jobs = list.jobs.filter((other) => other.id !== job.id);
    onChange();
    if (list.jobs.length === 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    }
  }
}
