/** What was seen, as findings and as what could not be checked. */
import { layers } from "../../stacks/resource-kinds.ts";
import type { DnsRecord } from "../vendors/dns-records.ts";
import type { Difference } from "./differences.ts";
import { describeExtraRecord } from "./extra-records.ts";
import { outcomeOf, type DriftReport, type Finding, type Unchecked } from "./finding.ts";
import type { Seen } from "./look.ts";
import { effectOf } from "./repairs.ts";
import { readUnchecked } from "./unchecked.ts";

export interface Judgement extends Pick<DriftReport, "findings" | "gaps" | "outcome"> {
  /** Whether everything that could not be checked is read through a provider that fails, such as Docker's while dockerd is down. */
  readonly onlyProvidersFail: boolean;
}

export function judge({ state, server, differences, dates, unreadable, extraRecords }: Seen): Judgement {
  const records: readonly DnsRecord[] = extraRecords.value ?? [];
  const findings = [
    ...differences.map((difference, index) => findingOf(difference, dates.value?.[index])),
    ...records.map(describeExtraRecord),
  ];
  const incomplete =
    state.incomplete === undefined
      ? undefined
      : { what: "the rest of the deployment", reason: state.incomplete };
  const gaps: Unchecked[] = [
    ...[incomplete, server.unchecked].filter((one) => one !== undefined),
    ...readUnchecked({ unreadable, differences, resources: state.all }),
    ...[extraRecords.unchecked, dates.unchecked].filter((one) => one !== undefined),
  ];
  return {
    outcome: outcomeOf({ findings, gaps }),
    findings: layers.flatMap((layer) => findings.filter((finding) => finding.layer === layer)),
    gaps,
    onlyProvidersFail: !incomplete && !server.unchecked && !extraRecords.unchecked,
  };
}

function findingOf(difference: Difference, since: Date | undefined): Finding {
  const { layer, resource, what, expected, found } = difference;
  return {
    layer,
    resource,
    what,
    expected: [...expected],
    found: [...found],
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...effectOf(difference),
  };
}
