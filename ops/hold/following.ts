/** Work of the program on the server that stops n8n itself, and has the requests to it held before. */
import { HELD, STOPPING_N8N } from "../../common/hold.ts";
import type { Hold } from "./hold.ts";

/** Does it with a `say` that notices the hold, which then goes on until n8n answers as before. After a failure n8n stands still, and nobody waits for it. */
export async function following<T>(
  hold: Hold | undefined,
  say: (line: string) => void,
  work: (say: (line: string) => void) => Promise<T>,
): Promise<T> {
  if (hold === undefined) return await work(say);
  await hold.prepare();
  try {
    const result = await work((line) => {
      // It asks the gateway of its own server alone.
      if (line.includes(HELD) || (hold.hasOthers && line.includes(STOPPING_N8N))) hold.follow();
      say(line);
    });
    const lacks = hold.isOn ? await hold.awaitBack() : undefined;
    if (lacks !== undefined) say(`n8n still lacks ${lacks}; the requests to it go on all the same`);
    return result;
  } finally {
    await hold.end();
  }
}
