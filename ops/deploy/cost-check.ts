/** Whether a deployment would cost more than the settings allow. */
import { sumOf } from "../../common/cost.ts";
import { describeSum, euros, listLines } from "../cost/render.ts";
import { Refusal, type ReleaseInProgress } from "./release-progress.ts";

/** Throws a `Refusal` above `operations.maxMonthlyEur`. An emergency goes on, and so does a cost that nobody knows; both are said. */
export async function checkCost({
  request: { stack, emergency },
  operator,
  session,
}: Pick<ReleaseInProgress, "request" | "operator" | "session">): Promise<void> {
  const { environment } = session;
  const { maxMonthlyEur } = environment.operations;
  if (maxMonthlyEur === undefined) return;
  const { after: whole } = await operator.readCost(environment);
  // What is asked of language models costs the same with every release.
  const after = { ...whole, lines: whole.lines.filter(({ what }) => what !== "usage") };
  const { euros: sum, unknown } = sumOf(after);
  if (sum > maxMonthlyEur) {
    const setting = "technicia:operations.maxMonthlyEur";
    const problem =
      `operations.maxMonthlyEur: expected at most ${euros(maxMonthlyEur)} a month without VAT, got ${describeSum(after)} (${listLines(after)}); ` +
      `allow it with pulumi config set --path ${setting} ${Math.ceil(sum)} --stack ${stack}, or choose less`;
    if (!emergency)
      throw new Refusal(
        problem,
        `coût de ${sum.toFixed(2)} € par mois, plafond ${maxMonthlyEur.toFixed(2)} €`,
      );
    operator.say(`${problem}\ncontinuing (--emergency)`);
    return;
  }
  if (unknown.length === 0) return;
  const why = after.lines.flatMap(({ monthly }) => (monthly.kind === "unknown" ? [monthly.why] : []));
  operator.say(
    `the cost is ${describeSum(after)} a month, and not compared with the ceiling of ${euros(maxMonthlyEur)}, as that of ${unknown.join(" and ")} is unknown: ${why.join("; ")}`,
  );
}
