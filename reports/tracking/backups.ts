/** The rows about backups and recovery tests in the team's table of maintenance. */
import { formatSeconds, formatDay } from "../labels-fr.ts";
import type { Cells } from "../kept-cells.ts";
import { recordsOf, type Backups, type EnvironmentFacts } from "../facts.ts";

/** One of the last set and one of the last rehearsal, in the words of the document; none where no backups are set up or known. */
export function backupRows(facts: EnvironmentFacts): Cells[] {
  const backups = recordsOf(facts)?.backups;
  if (backups === undefined) return [];
  return [
    { Type: "Sauvegarde", Environnement: facts.name, ...lastSet(backups) },
    { Type: "Test de reprise", Environnement: facts.name, ...lastDrill(backups) },
  ];
}

function lastSet({ last, failure }: Backups): Cells {
  const isFailed = failure !== undefined && (last === undefined || failure.at > last.time);
  return {
    Date: last === undefined ? "-" : formatDay(new Date(last.time)),
    Description: {
      fact: isFailed ? `dernier essai échoué : ${failure.text}` : last ? "dernier jeu, hors du serveur" : "-",
    },
    Statut: isFailed ? "Bloqué" : last === undefined ? "Non commencé" : "Complété",
  };
}

function lastDrill({ drills }: Backups): Cells {
  const last = drills.at(-1);
  if (last === undefined) return { Date: "-", Description: { fact: "-" }, Statut: "Non commencé" };
  const { set, at, took, passed, findings } = last;
  const outcome = passed ? "comptes égaux" : `échoué : ${findings.join(" ; ")}`;
  return {
    Date: formatDay(new Date(at)),
    Description: {
      fact: `jeu ${set.slice(0, 8)} restauré à l'essai en ${formatSeconds(took)}, ${outcome}`,
    },
    Statut: passed ? "Complété" : "Bloqué",
  };
}
