/** A report for a terminal. */
import { layers, LAYER_TITLES } from "../../stacks/resource-kinds.ts";
import type { DriftReport, Finding, Unchecked } from "./finding.ts";

export function renderReport(report: DriftReport): string {
  const { findings, gaps } = report;
  return [headline(report), ...renderFindings(findings), ...renderGaps(gaps)].join("\n\n");
}

export function headline({ stack, outcome, findings, gaps, seconds }: DriftReport): string {
  const found = findings.length === 0 ? "nothing differs" : count(findings.length, "difference");
  const rest =
    gaps.length === 0 ? "" : `, and ${count(gaps.length, "gap")}: not everything could be looked at`;
  const all = outcome === "clean" ? " from what was deployed" : "";
  return `${stack}: ${found}${all}${rest} (${seconds} s)`;
}

export function renderFindings(findings: readonly Finding[]): string[] {
  return layers.flatMap((layer) => {
    const own = findings.filter((one) => one.layer === layer);
    return own.length === 0 ? [] : [`${LAYER_TITLES[layer]}\n${own.map(renderFinding).join("\n")}`];
  });
}

function renderFinding(finding: Finding): string {
  const { resource, what, expected, found, since, repair, interruption } = finding;
  const lines = [
    `  ${resource}: ${what}`,
    ...(found.join() === what ? [] : [...labelled("expected", expected), ...labelled("found", found)]),
    ...(since === undefined ? [] : labelled("since", [`${since.slice(0, 19).replace("T", " ")} UTC`])),
    ...labelled("repair", [repair]),
    ...(interruption === undefined ? [] : labelled("meanwhile", [interruption])),
  ];
  return lines.join("\n");
}

function renderGaps(gaps: readonly Unchecked[]): string[] {
  if (gaps.length === 0) return [];
  const lines = gaps.map(({ what, reason, because }) =>
    [
      `  ${what}`,
      ...labelled("reason", shorten(reason.split("\n"))),
      ...(because === undefined
        ? []
        : labelled("because", [`${because} is not as it should be; looked at again after its repair`])),
    ].join("\n"),
  );
  return [`Not looked at\n${lines.join("\n")}`];
}

/** Most lines of one reason. */
const MOST_LINES = 8;

function shorten(lines: readonly string[]): readonly string[] {
  const rest = lines.length - MOST_LINES;
  return rest > 0 ? [...lines.slice(0, MOST_LINES), `… and ${rest} more lines`] : lines;
}

const LABEL_WIDTH = 11;

function labelled(label: string, lines: readonly string[]): string[] {
  return lines.map((line, index) => `    ${(index === 0 ? label : "").padEnd(LABEL_WIDTH)}${line}`);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
