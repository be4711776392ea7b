/** "Validation J+1" and "Validation J+7" of the releases, in the team's table of maintenance. */
import { recordsOf, type EnvironmentFacts, type Records } from "../facts.ts";
import { isBlank, type Cells } from "../kept-cells.ts";
import { formatDay } from "../labels-fr.ts";
import { DAYS, resultOf, windowsOf, wordOf, type Verdict, type Window } from "../validation/validation.ts";
import { describeRelease } from "./steps.ts";

/** Rows of older releases stay as they are. */
const MOST_RELEASES = 5;

const STATUSES: Readonly<Record<Verdict, string>> = {
  ok: "Complété",
  worse: "Bloqué",
  "not-measured": "Non mesuré",
};

const PLANNED = "Planifié";
const TYPE = /^Validation J\+\d \(nº \d+\)$/;

/** None where the records are not known, so that what the document says stays. */
export function validationRows(facts: EnvironmentFacts): Cells[] {
  const records = recordsOf(facts);
  if (records === undefined) return [];
  return shownWindows(records).flatMap((window) => {
    const result = resultOf(records.history, window);
    const { release, until } = window;
    const words =
      result === undefined
        ? "à faire"
        : [wordOf(result.verdict), result.text].filter((text) => text !== "").join(" ; ");
    return [
      {
        Date: formatDay(result === undefined ? until : new Date(result.at)),
        Type: typeOf(window),
        Environnement: facts.name,
        Description: { fact: `${describeRelease(release)} : ${words} ; npm run validate -- ${facts.stack}` },
        Statut: result === undefined ? PLANNED : STATUSES[result.verdict],
      },
    ];
  });
}

/** Whether an earlier report planned a row that no release waits for any more; what a person has taken on stays. */
export function isGoneValidation(row: Readonly<Record<string, string>>, facts: EnvironmentFacts): boolean {
  if (facts.state !== "absent" && recordsOf(facts) === undefined) return false;
  const isOurs =
    row["Environnement"] === facts.name && row["Statut"] === PLANNED && TYPE.test(row["Type"] ?? "");
  return isOurs && isBlank(row["Responsable"] ?? "");
}

/** Those of the newest releases that have a result, and what is still to do of the last one. */
function shownWindows({ releases, history }: Records): readonly Window[] {
  const windows = windowsOf(releases).slice(-DAYS.length * MOST_RELEASES);
  return windows.filter(
    (window) => window.replacedBy === undefined || resultOf(history, window) !== undefined,
  );
}

function typeOf({ day, release }: Window): string {
  return `Validation J+${day} (nº ${release.number})`;
}
