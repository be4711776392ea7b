/** Failures in the engine's format; a partial one contains the state to keep. */
import grpc from "@grpc/grpc-js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import rpcStatus from "@pulumi/pulumi/proto/status_pb.js";
import any from "google-protobuf/google/protobuf/any_pb.js";
import { UserError } from "../../common/user-error.ts";
import { PartialFailure } from "./definition.ts";
import { encode, type Properties } from "./wire.ts";

export interface Reporting {
  /** Hides the secrets in a text. */
  readonly clean: (text: string) => string;
  /** State that a partial failure leaves behind; undefined when the call has no state to keep. */
  readonly partialState: ((outputs: object) => Properties) | undefined;
}

export function toStatus(error: unknown, { clean, partialState }: Reporting): grpc.ServiceError {
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
