/** Responses to the engine that need more than a setter, and failures in its format. */
import grpc from "@grpc/grpc-js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import rpcStatus from "@pulumi/pulumi/proto/status_pb.js";
import any from "google-protobuf/google/protobuf/any_pb.js";
import { UserError } from "../../common/user-error.ts";
import { PartialFailure } from "./definition.ts";
import { rootOf, type Difference } from "./diff.ts";
import { encode, type Properties } from "./wire.ts";

export function checkResponse(inputs: Properties, problems: readonly string[]): provider.CheckResponse {
  const response = new provider.CheckResponse().setInputs(encode(inputs));
  // For a failure with a property, the engine prints its value, even a secret. The sentence names the property instead.
  problems.forEach((problem) => response.addFailures(new provider.CheckFailure().setReason(problem)));
  return response;
}

export function diffResponse(
  all: readonly Difference[],
  {
    replaceOn,
    deleteBeforeReplace,
  }: { readonly replaceOn: readonly string[]; readonly deleteBeforeReplace: boolean },
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

/** The failure with its secrets hidden by `clean`. A partial one contains the state to keep, where `partialState` gives it. */
export function toStatus(
  error: unknown,
  {
    clean,
    partialState,
  }: { clean: (text: string) => string; partialState?: ((outputs: object) => Properties) | undefined },
): grpc.ServiceError {
  const message = clean(textOf(error));
  const metadata = new grpc.Metadata();
  if (error instanceof PartialFailure && partialState !== undefined) {
    metadata.add(
      "grpc-status-details-bin",
      Buffer.from(partialStatus(message, error, partialState(error.outputs)).serializeBinary()),
    );
  }
  return Object.assign(new Error(message), { code: grpc.status.UNKNOWN, details: message, metadata });
}

function partialStatus(message: string, error: PartialFailure, state: Properties): rpcStatus.Status {
  const detail = new provider.ErrorResourceInitFailed()
    .setId(error.id)
    .setProperties(encode(state))
    // Some engines read the state of a failed creation from here.
    .setInputs(encode(state))
    .setReasonsList([message]);
  const packed = new any.Any();
  packed.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new rpcStatus.Status().setCode(grpc.status.UNKNOWN).setMessage(message);
  status.addDetails(packed);
  return status;
}

function textOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  return error instanceof Error
    ? `fault in the provider technicia: ${error.stack ?? error.message}`
    : String(error);
}
