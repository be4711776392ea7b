/** What a command of several steps does, and how long each took. */
import type { Effects } from "./effects.ts";
import { renderTable } from "./terminal.ts";

/** Times what is done, and tells it. */
export class TimedSteps {
  readonly #world: Pick<Effects, "now" | "say">;
  readonly #seconds: [name: string, seconds: number][] = [];

  constructor(world: Pick<Effects, "now" | "say">) {
    this.#world = world;
  }

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const began = this.#world.now().getTime();
    this.#world.say(`${name} …`);
    const result = await work();
    this.#seconds.push([name, (this.#world.now().getTime() - began) / 1000]);
    return result;
  }

  render(): string {
    const sum = this.#seconds.reduce((total, [, seconds]) => total + seconds, 0);
    const rows = [...this.#seconds, ["together", sum] as const];
    return renderTable({
      headings: ["Step", "Seconds"],
      rows: rows.map(([name, seconds]) => [name, seconds.toFixed(1)]),
    });
  }
}
