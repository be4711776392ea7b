/** What is deployed, and whether something is known against it: images by digest, and the record of the last scan. */
import { isUrgent, scan, scanFile, type Scan } from "../../common/scan.ts";
import type { Environment } from "../../stacks/environment.ts";
import { imagesInUse } from "../../stacks/images.ts";
import type { CheckContext, CheckEffects } from "./context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "./probe.ts";

const MOST_DAYS = 7;
const DAY_MS = 86_400_000;

/** Whether every image is named by its digest, so that what was tested is what runs. */
export function digestsProbe({ stack, environment }: Pick<CheckContext, "stack" | "environment">): Probe {
  return {
    id: "digests",
    title: "Les images sont désignées par leur empreinte",
    find() {
      const images = imagesInUse(environment);
      const open = images.filter(({ name }) => !name.includes("@sha256:")).map(({ service }) => service);
      if (open.length === 0) return ok(`${images.length} images`);
      if (environment.operations.supplyChain.digests)
        return failed(`sans empreinte : ${open.join(", ")} ; npm run images -- pin ${stack}`);
      return notChecked(`sans empreinte, ce qui est permis ici : ${open.join(", ")}`);
    },
  };
}

/** Whether the last scan found nothing critical that could be fixed. */
export function vulnerabilitiesProbe(
  { stack, environment }: Pick<CheckContext, "stack" | "environment">,
  { now, readScan }: Pick<CheckEffects, "now" | "readScan">,
): Probe {
  return {
    id: "vulnerabilities",
    title: "Les paquets et les images n'ont pas de faille critique corrigeable",
    async find() {
      const { scan: isRequired } = environment.operations.supplyChain;
      // Where it blocks nothing, it still says what would block elsewhere.
      const against = (detail: string) =>
        isRequired ? failed(detail) : notChecked(`${detail} ; sans effet ici`);
      const again = `npm run scan -- ${stack}`;
      const text = await readScan(stack);
      if (text === undefined)
        return against(`aucune analyse ; npm run tools -- install scanner, puis ${again}`);
      const record = readRecord(text);
      if (!record) return against(`${scanFile(stack)} est illisible ; ${again}`);
      const days = (now() - Date.parse(record.at)) / DAY_MS;
      if (days > MOST_DAYS || days < 0)
        return against(`analyse du ${record.at.slice(0, 10)}, attendu ${MOST_DAYS} jours au plus ; ${again}`);
      return judge(record, { environment, now: now(), against, again });
    },
  };
}

function judge(
  record: Scan,
  about: {
    readonly environment: Environment;
    readonly now: number;
    readonly against: (detail: string) => Finding;
    readonly again: string;
  },
): Finding {
  const { environment, now, against, again } = about;
  const unscanned = imagesInUse(environment)
    .filter(({ name }) => !record.subjects.some(({ reference }) => reference === name))
    .map(({ service }) => service);
  if (unscanned.length > 0) return against(`analyse d'autres images pour ${unscanned.join(", ")} ; ${again}`);
  const unread = record.subjects.filter(({ problem }) => problem !== undefined);
  if (unread.length > 0)
    return against(unread.map(({ name, problem }) => `${name} non analysé (${problem})`).join(" ; "));

  const today = new Date(now).toISOString().slice(0, 10);
  const { exceptions } = environment.operations.supplyChain;
  const isExcepted = (id: string) => exceptions.some((one) => one.id === id && one.until >= today);
  const urgent = record.subjects.flatMap(({ name, vulnerabilities }) =>
    vulnerabilities.filter(isUrgent).map((one) => ({ ...one, name })),
  );
  const open = urgent.filter(({ id }) => !isExcepted(id));
  const excepted = exceptions
    .filter(({ id }) => isExcepted(id) && urgent.some((one) => one.id === id))
    .map(({ id, until, reason }) => `${id} admise jusqu'au ${until} : ${reason}`);
  if (open.length > 0) {
    const found = open.map(
      (one) => `${one.id} dans ${one.name} (${one.package} ${one.version}, corrigée en ${one.fixedIn[0]})`,
    );
    return against([...found, ...excepted].join(" ; "));
  }
  const seen = `${record.scanner}, ${record.at.slice(0, 10)} : ${record.subjects.length} sujets`;
  return ok([seen, ...excepted].join(" ; "), { subjects: record.subjects.length });
}

function readRecord(text: string): Scan | undefined {
  try {
    return scan.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
