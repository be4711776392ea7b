/** Responses to the engine that need more than a setter. */
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import { rootOf, type Difference } from "./diff.ts";
import { encode, type Properties } from "./wire.ts";

/** Which differences replace the resource, and how. */
export interface Replacing {
  /** Properties whose change replaces the resource. */
  readonly replaceOn: readonly string[];
  readonly deleteBeforeReplace: boolean;
}

export function checkResponse(inputs: Properties, problems: readonly string[]): provider.CheckResponse {
  const response = new provider.CheckResponse().setInputs(encode(inputs));
  // For a failure with a property, the engine prints its value, even a secret. The sentence names the property instead.
  problems.forEach((problem) => response.addFailures(new provider.CheckFailure().setReason(problem)));
  return response;
}

export function diffResponse(
  all: readonly Difference[],
  { replaceOn, deleteBeforeReplace }: Replacing,
): provider.DiffResponse {
  const { DIFF_NONE, DIFF_SOME } = provider.DiffResponse.DiffChanges;
  const response = new provider.DiffResponse()
    .setChanges(all.length === 0 ? DIFF_NONE : DIFF_SOME)
    .setHasdetaileddiff(true);
  const { ADD, ADD_REPLACE, DELETE, DELETE_REPLACE, UPDATE, UPDATE_REPLACE } = provider.PropertyDiff.Kind;
  const kinds = {
    add: [ADD, ADD_REPLACE],
    delete: [DELETE, DELETE_REPLACE],
    update: [UPDATE, UPDATE_REPLACE],
  } as const;
  const replaces = new Set<string>();
  for (const { path, kind } of all) {
    const replace = replaceOn.includes(rootOf(path));
    if (replace) replaces.add(rootOf(path));
    response
      .getDetaileddiffMap()
      .set(path, new provider.PropertyDiff().setKind(kinds[kind][replace ? 1 : 0]).setInputdiff(true));
  }
  response.setReplacesList([...replaces]).setDiffsList([...new Set(all.map(({ path }) => rootOf(path)))]);
  return response.setDeletebeforereplace(replaces.size > 0 && deleteBeforeReplace);
}
