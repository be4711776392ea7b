import { describe, expect, it } from "vitest";

import type { AuditEvent } from "../../../common/release.ts";
import type { Records } from "../../../reports/facts.ts";
import { noRecords, release } from "../facts.ts";
import { Documents } from "../tracking-file.ts";

const TITLE = "Maintenance et Mises à Jour Planifiées";
const ran = (number: number, day: number) =>
  release(number, { startedAt: `2026-11-${day}T08:00:00Z`, finishedAt: `2026-11-${day}T09:00:00Z` });
const validated = (number: number, detail: string): AuditEvent => ({
  ...{ at: "2026-11-22T10:00:00Z", who: "CI", action: "validation", reason: "", release: number },
  detail,
});

const rowsAfter = async (documents: Documents, records: Records) => {
  await documents.report({ test: { records } });
  return (await documents.rows(TITLE)).filter((row) => row.includes("Validation"));
};

describe("the rows of the validations", () => {
  it("plan those of the release that serves, and say how those before were", async () => {
    const documents = await Documents.open();
    const history = [validated(1, "Validation J+1 : moins bien ; p95 moins bien : 0,9 s | (0,4 s avant)")];

    expect(await rowsAfter(documents, { ...noRecords, releases: [ran(1, 20), ran(2, 22)], history })).toEqual(
      [
        String.raw`22 novembre 2026|Validation J+1 (nº 1)|Test|nº 1 (0123456) : moins bien ; p95 moins bien : 0,9 s \| (0,4 s avant) ; npm run validate -- test|-|Bloqué`,
        "23 novembre 2026|Validation J+1 (nº 2)|Test|nº 2 (0123456) : à faire ; npm run validate -- test|-|Planifié",
        "29 novembre 2026|Validation J+7 (nº 2)|Test|nº 2 (0123456) : à faire ; npm run validate -- test|-|Planifié",
      ],
    );
  });

  it("change from planned to what was found, in their place, and keep who is responsible", async () => {
    const documents = await Documents.open();
    const records = { ...noRecords, releases: [ran(1, 20)] };
    await rowsAfter(documents, records);
    await documents.edit((text) => text.replace(/(Validation J\+1 .*?\|[^|]*\|[^|]*\|) -/, "$1 Ada"));

    const history = [validated(1, "Validation J+1 : ok ; p95 0,4 s")];
    expect((await rowsAfter(documents, { ...records, history }))[0]).toMatch(
      /^22 novembre 2026\|Validation J\+1 \(nº 1\)\|Test\|nº 1 \(0123456\) : ok ; p95 0,4 s ; .*\|Ada\|Complété$/,
    );
  });

  it("go when another release took the place before anybody looked, except those that a person took on", async () => {
    const documents = await Documents.open();
    const records = { ...noRecords, releases: [ran(1, 20)] };
    await rowsAfter(documents, records);
    await documents.edit((text) => text.replace(/(Validation J\+7 .*?\|[^|]*\|[^|]*\|) -/, "$1 Ada"));

    const types = (await rowsAfter(documents, { ...records, releases: [ran(1, 20), ran(2, 20)] })).map(
      (row) => row.split("|")[1],
    );
    expect(types.toSorted()).toEqual([
      "Validation J+1 (nº 2)",
      "Validation J+7 (nº 1)",
      "Validation J+7 (nº 2)",
    ]);
  });

  it("stay where the records are not known, and for older releases", async () => {
    const documents = await Documents.open();
    const history = [validated(1, "Validation J+1 : ok")];
    const before = await rowsAfter(documents, { ...noRecords, releases: [ran(1, 10)], history });
    await documents.report({ test: { records: new Error("no answer") } }).catch(() => undefined);
    expect((await documents.rows(TITLE)).filter((row) => row.includes("Validation"))).toEqual(before);

    const many = Array.from({ length: 9 }, (_, index) => ran(index + 1, 10 + index));
    const later = await rowsAfter(documents, { ...noRecords, releases: many, history });
    expect(later).toContain(before[0]);
  });
});
