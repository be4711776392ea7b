/** The report of a check: the schema of `npm run drift -- <stack> --json`, and the same for a terminal. */
import { z } from "zod";

import { layers, LAYER_TITLES } from "../../stacks/resource-kinds.ts";

const finding = z.strictObject({
  layer: z.enum(layers),

  /** Name of the resource in the program; of an undeclared DNS record, its name in the zone. */
  resource: z.string(),

  /** Which part of it differs. */
  what: z.string(),

  /** One line each; of a long text only the lines that differ. Secrets are `[secret]`. */
  expected: z.array(z.string()),
  found: z.array(z.string()),

  /** The resource of another finding that comes first and may be why; a repair begins with that one. */
  because: z.string().optional(),

  /** When it changed, where that is known. */
  since: z.iso.datetime().optional(),

  /** What `--repair` does about it. */
  repair: z.string(),

  /** What stops working meanwhile, and for how long; absent when nothing does. */
  interruption: z.string().optional(),
});

export type Finding = z.output<typeof finding>;

/** Something that could not be read, and why: nothing is known about it. */
const unchecked = z.strictObject({
  what: z.string(),
  reason: z.string(),

  /** The resource of a finding that prevents reading it, such as a service that is gone; it is read again after the repair. */
  because: z.string().optional(),
});
export type Unchecked = z.output<typeof unchecked>;

export const driftReport = z.strictObject({
  stack: z.string(),
  at: z.iso.datetime(),
  seconds: z.number(),

  /** `failed`: something could not be read and no finding explains it. */
  outcome: z.enum(["clean", "drift", "failed"]),
  findings: z.array(finding),
  gaps: z.array(unchecked),

  /** Settings, and resources of the program, that are not deployed as they are: no drift. */
  pending: z.array(z.string()),
});

export type DriftReport = z.output<typeof driftReport>;

/** Most lines of one reason. */
const MOST_LINES = 8;

const LABEL_WIDTH = 11;

export const EXIT_CODES: Readonly<Record<DriftReport["outcome"], number>> = { clean: 0, drift: 7, failed: 1 };

export function outcomeOf({
  findings,
  gaps,
}: Pick<DriftReport, "findings" | "gaps">): DriftReport["outcome"] {
  if (gaps.some(({ because }) => because === undefined)) return "failed";
  return findings.length > 0 ? "drift" : "clean";
}

export function renderReport(report: DriftReport): string {
  const { stack, findings, gaps, pending } = report;
  const notDeployed =
    pending.length === 0
      ? []
      : [`Not deployed yet, so not compared: ${pending.join(", ")}; see npm run preview -- ${stack}`];
  return [headline(report), ...renderFindings(findings), ...renderGaps(gaps), ...notDeployed].join("\n\n");
}

export function headline({ stack, outcome, findings, gaps, seconds }: DriftReport): string {
  const found = findings.length === 0 ? "nothing differs" : count(findings.length, "difference");
  const rest =
    gaps.length === 0 ? "" : `, and ${count(gaps.length, "gap")}: not everything could be looked at`;
  const all = outcome === "clean" ? " from what was deployed" : "";
  return `${stack}: ${found}${all}${rest} (${seconds} s)`;
}

function renderFindings(findings: readonly Finding[]): string[] {
  return layers.flatMap((layer) => {
    const own = findings.filter((one) => one.layer === layer);
    return own.length === 0 ? [] : [`${LAYER_TITLES[layer]}\n${own.map(renderFinding).join("\n")}`];
  });
}

function renderFinding(finding: Finding): string {
  const { resource, what, expected, found, because, since, repair, interruption } = finding;
  const lines = [
    `  ${resource}: ${what}`,
    ...(found.join() === what ? [] : [...labelled("expected", expected), ...labelled("found", found)]),
    ...(because === undefined ? [] : labelled("because", [`${because}, perhaps: it is repaired first`])),
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
      ...labelled("reason", shorten(reason)),
      ...(because === undefined
        ? []
        : labelled("because", [`${because} is not as it should be; looked at again after its repair`])),
    ].join("\n"),
  );
  return [`Not looked at\n${lines.join("\n")}`];
}

function shorten(reason: string): readonly string[] {
  const lines = reason.split("\n");
  const rest = lines.length - MOST_LINES;
  return rest > 0 ? [...lines.slice(0, MOST_LINES), `… and ${rest} more lines`] : lines;
}

function labelled(label: string, lines: readonly string[]): string[] {
  return lines.map((line, index) => `    ${(index === 0 ? label : "").padEnd(LABEL_WIDTH)}${line}`);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
