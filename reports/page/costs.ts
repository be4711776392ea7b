/** The page's section of what each environment costs. */
import { sumOf, type Cost, type CostLine } from "../../common/cost.ts";
import type { EnvironmentFacts, Missing } from "../facts.ts";
import { formatEuros } from "../labels-fr.ts";
import { html, table, type Html } from "./parts.ts";

const NAMES: Readonly<Record<CostLine["what"], string>> = {
  server: "Serveur",
  option: "Option",
  backups: "Sauvegardes",
  usage: "Appels d'API",
};

/** None where nobody asked for the costs. */
export function costSection(environments: readonly EnvironmentFacts[]) {
  const known = environments.flatMap((facts) =>
    facts.state === "present" && facts.cost !== undefined
      ? [{ stack: facts.stack, name: facts.name, cost: facts.cost }]
      : [],
  );
  if (known.length === 0) return [];
  const content = html`${known.map(
    (one) =>
      html`<div class="block">
        <h3>${one.name}</h3>
        ${costOf(one)}
      </div> `,
  )}`;
  return [{ id: "couts", name: "Coûts", content }];
}

interface Known {
  readonly stack: string;
  readonly name: string;
  readonly cost: Cost | Missing;
}

function costOf({ stack, name, cost }: Known): Html {
  if ("why" in cost) return html`<p>Le coût n'a pas pu être lu : <span lang="en">${cost.why}</span></p>`;
  const { euros, unknown } = sumOf(cost);
  const isOpen = unknown.length > 0;
  const sum = isOpen && euros === 0 ? "inconnu" : `${isOpen ? "au moins " : ""}${formatEuros(euros)}`;
  return html`<p>
      Par mois, hors taxes : ${sum}.${cost.once === 0 ? "" : ` Une fois : ${formatEuros(cost.once)}.`}
    </p>
    ${table({
      id: `couts-${stack}`,
      caption: `Coût mensuel de ${name}, hors taxes`,
      kind: "costs",
      columns: ["Poste", "Détail", "Par mois", "Prix"],
      figures: ["Par mois"],
      rows: cost.lines.map((line) => [NAMES[line.what], line.name, amountOf(line), sourceOf(line)]),
    })}`;
}

function amountOf({ monthly }: CostLine): string {
  if (monthly.kind === "unknown") return "inconnu";
  if (monthly.kind === "not-estimated") return "non estimé";
  return monthly.euros > 0 && monthly.euros < 0.01 ? `< ${formatEuros(0.01)}` : formatEuros(monthly.euros);
}

function sourceOf({ monthly, source }: CostLine): Html {
  return html`<span lang="en">${monthly.kind === "euros" ? source : monthly.why}</span>`;
}
