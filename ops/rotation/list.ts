/** `npm run secrets -- <stack> rotate`: how old each secret is, when it is due, and how it changes. */
import { entryOf } from "../../secrets/catalog.ts";
import { isOtherName, otherSecrets, rotationOf, type RotationName } from "../../secrets/rotations.ts";
import type { Outcome } from "../command.ts";
import { orWhy, recordsOn } from "../documents/facts.ts";
import type { Effects } from "../effects.ts";
import { environmentIn, readConfiguration } from "../engine/settings.ts";
import { onServer } from "../on-server.ts";
import { renderTable } from "../terminal.ts";
import { agesOf, agingNames, configuredIn } from "./ages.ts";

/** A server that is down must not keep the rest from being printed. */
const SERVER_SECONDS = 10;

export async function listRotations(
  stack: string,
  world: Pick<Effects, "pulumi" | "openServer" | "now">,
): Promise<Outcome> {
  const configuration = await readConfiguration({ stack }, world.pulumi);
  const names = agingNames(configuredIn(configuration), environmentIn(stack, configuration));
  const records = await orWhy(
    onServer(stack, world, (server) =>
      recordsOn({ run: (command) => server.run({ ...command, timeoutSeconds: SERVER_SECONDS }) }),
    ),
  );
  const ages = agesOf({ names, records, now: world.now() });
  const table = renderTable({
    headings: ["Secret", "Since", "Due", "Given by", "Both values valid meanwhile"],
    rows: ages.map(({ name, since, due, isDue }) => [
      name,
      since ?? "unknown",
      due === undefined ? "–" : isDue ? `since ${due}` : due,
      giverOf(name),
      isOtherName(name) ? otherSecrets[name].description : rotationOf(name).both,
    ]),
  });
  const due = ages.filter(({ isDue }) => isDue).map(({ name }) => name);
  const lines = [
    table,
    "",
    ...("why" in records ? [`the records could not be read: ${records.why}`] : []),
    due.length === 0 ? "nothing is due" : `due: ${due.join(", ")}`,
    `npm run secrets -- ${stack} rotate <secret>; its age counts from the first release where no rotation is recorded`,
  ];
  return { text: lines.join("\n"), exitCode: 0 };
}

function giverOf(name: RotationName): string {
  if (isOtherName(name)) return "you";
  return entryOf(name).givenBy === "us" ? "generated" : "you";
}
