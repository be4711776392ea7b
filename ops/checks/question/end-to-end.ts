/** The two checks of a question from end to end: that it is answered from what was uploaded, and how fast. */
import type { Check } from "../../../common/check.ts";
import { reasonOf } from "../../../common/reason.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { askServer, type CheckContext, type ServerAccess } from "../context.ts";
import { failed, type Finding, notChecked, ok, runProbe } from "../probe.ts";
import type { PublicSite } from "../public/gateway.ts";
import { createMarkedDocument } from "./marked-document.ts";
import { type Answered, countPoints, type Hops, type Reached, removeMarked, tryQuestion } from "./trial.ts";

interface Reach {
  readonly site: PublicSite;
  readonly access: ServerAccess;
}

/** Upload, indexing, two answers and the removal. */
const LIMIT_SECONDS = 420;

type Limits = Environment["monitoring"]["thresholds"]["release"];

/** Leaves nothing behind, also after a failure or an interruption; what a killed one has left, the next removes first. */
export async function checkQuestion(context: CheckContext, { site, access }: Reach): Promise<Check[]> {
  const { environment } = context;
  const limits = environment.monitoring.thresholds.release;
  let trial: Promise<Finding> | undefined;
  const works = await runProbe(
    {
      id: "functional-question",
      title: "Question de bout en bout : un document téléversé répond, puis est supprimé",
      limitSeconds: LIMIT_SECONDS,
      find(signal) {
        const obstacle = obstacleIn(environment);
        if (obstacle !== undefined) return notChecked(obstacle);
        return askServer(access, (server) => {
          trial = judge({ site, server, timeouts: environment.timeouts }, { limits, signal });
          return trial;
        });
      },
    },
    context,
  );
  // An interrupted probe is not waited for; the removal of what it has uploaded is.
  await trial?.catch(() => undefined);
  const fast = await runProbe(
    {
      id: "performance-question",
      title: "Tests de performance : téléversement, recherche et réponse",
      find: () =>
        works.outcome === "ok"
          ? judgeHops(works.measures ?? {}, limits)
          : notChecked("aucune réponse n'a été mesurée"),
    },
    context,
  );
  return [works, fast];
}

/** Why there is nothing to ask; undefined where there is. */
function obstacleIn({ workflows, services, documents }: Environment): string | undefined {
  if (!workflows.enabled)
    return "technicia:workflows.enabled est false : n8n n'a aucun workflow à interroger";
  if (!services.documentProcessor.enabled)
    return "technicia:services.documentProcessor.enabled est false : aucun document ne peut être lu";
  if (!documents.enabled)
    return "technicia:documents.enabled est false : aucun document ne peut être conservé ni supprimé";
  return undefined;
}

async function judge(
  reached: Reached,
  { limits, signal }: { readonly limits: Limits; readonly signal: AbortSignal },
): Promise<Finding> {
  const { server } = reached;
  await removeMarked(server);
  const before = await countPoints(server);
  const isFast = (hops: Hops) => slowHops({ ...hops, pages: 1 }, limits).problems.length === 0;
  const marked = await createMarkedDocument();
  const asked = await tryQuestion(marked, { ...reached, isFast, signal }).catch(reasonOf);
  const left = await removeMarked(server).then(() => undefined, reasonOf);
  const after = await countPoints(server).catch(() => undefined);
  const problems = [
    ...(typeof asked === "string" ? [asked] : asked.problems),
    ...(left === undefined ? [] : [`le document de vérification n'a pas pu être supprimé : ${left}`]),
    ...(after === undefined ? ["les points n'ont pas pu être comptés à la fin"] : []),
    ...(after !== undefined && after < before
      ? [`${before} points avant, ${after} après : des points ont disparu`]
      : []),
  ];
  const measures = {
    ...(typeof asked === "string" ? {} : measuresOf(asked)),
    pointsBefore: before,
    ...(after !== undefined && { pointsAfter: after }),
  };
  if (problems.length > 0 || after === undefined) return failed(problems.join(" ; "), measures);
  // People may add documents meanwhile.
  const others = after === before ? "" : `, dont ${after - before} ajoutés par d'autres pendant l'essai`;
  return ok(`réponse avec sa source ; ${before} points avant, ${after} après${others}`, measures);
}

function measuresOf({ hops, pages }: Answered): Record<string, number> {
  const known = Object.entries(hops).filter((entry): entry is [string, number] => entry[1] !== undefined);
  return { ...Object.fromEntries(known), pages };
}

function judgeHops(measures: Readonly<Record<string, number>>, limits: Limits): Finding {
  const { uploadMs = 0, indexingMs = 0, answerMs = 0, searchMs, modelMs, pages = 1 } = measures;
  const { ownMs, problems } = slowHops({ indexingMs, answerMs, searchMs, modelMs, pages }, limits);
  const hops = { uploadMs, indexingMs, answerMs, ...(ownMs !== undefined && { ownMs }) };
  const given = {
    ...hops,
    ...(searchMs !== undefined && { searchMs }),
    ...(modelMs !== undefined && { modelMs }),
  };
  const seen =
    `téléversement ${uploadMs} ms, indexation de ${pages} pages ${indexingMs} ms, réponse ${answerMs} ms, ` +
    `dont recherche ${searchMs ?? "?"} ms et modèle ${modelMs ?? "?"} ms`;
  if (problems.length > 0) return failed(`${problems.join(" ; ")} (${seen})`, given);
  return searchMs === undefined || ownMs === undefined
    ? notChecked(
        `le workflow de question ne donne pas ses temps (timings.searchMs, timings.modelMs) : ${seen}`,
        given,
      )
    : ok(seen, given);
}

/** The time of an answer without the model's, and which targets are missed. */
function slowHops(
  { indexingMs, answerMs, searchMs, modelMs, pages }: Omit<Hops, "uploadMs"> & { readonly pages: number },
  { searchSeconds, questionSeconds, hundredPagesSeconds, indexingStartSeconds }: Limits,
): { readonly ownMs: number | undefined; readonly problems: readonly string[] } {
  const ownMs = modelMs === undefined ? undefined : Math.max(0, answerMs - modelMs);
  const indexingSeconds = indexingStartSeconds + (hundredPagesSeconds * pages) / 100;
  const late = (milliseconds: number | undefined, seconds: number) => (milliseconds ?? 0) > seconds * 1000;
  return {
    ownMs,
    problems: [
      ...(late(searchMs, searchSeconds) ? [`recherche au-dessus de ${searchSeconds} s`] : []),
      ...(late(ownMs, questionSeconds) ? [`réponse sans le modèle au-dessus de ${questionSeconds} s`] : []),
      ...(late(indexingMs, indexingSeconds) ? [`indexation au-dessus de ${indexingSeconds} s`] : []),
    ],
  };
}
