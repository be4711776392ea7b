/**
 * The inputs of resources as the engine sends them.
 *
 * `@pulumi/policy` gives its policies secrets in clear and unmarked, and ends a policy that reads a value which is not known yet. These rules need
 * both, so they read the request itself.
 */
import services from "@pulumi/pulumi/proto/analyzer_grpc_pb.js";
import type { AnalyzeRequest } from "@pulumi/pulumi/proto/analyzer_pb.js";

import { SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_TEXT } from "../../common/property-signatures.ts";
import { Sealed, UNKNOWN, type Inputs, type Resource } from "./rule.ts";

/** Texts in place of a text, boolean, number, list, asset, archive or map that only an update knows. */
const UNKNOWN_TEXTS: ReadonlySet<unknown> = new Set([
  UNKNOWN_TEXT,
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/** Keeps every resource that the engine asks about from now on, by URN. To be called before the pack is created. */
export function keepRequests(): ReadonlyMap<string, Resource> {
  const kept = new Map<string, Resource>();
  // The description of the service is data, from which the pack's server is made.
  const method = services.AnalyzerService.analyze as {
    requestDeserialize: (bytes: Buffer) => AnalyzeRequest;
  };
  const read = method.requestDeserialize;
  method.requestDeserialize = (bytes) => {
    const request = read(bytes);
    kept.set(request.getUrn(), readResource(request));
    return request;
  };
  return kept;
}

function readResource(request: AnalyzeRequest): Resource {
  return {
    urn: request.getUrn(),
    type: request.getType(),
    name: request.getName(),
    inputs: unwrap(request.getProperties()?.toJavaScript() ?? {}) as Inputs,
    protect: request.getOptions()?.getProtect() ?? false,
    deleteBeforeReplace: request.getOptions()?.getDeletebeforereplace() ?? false,
  };
}

function unwrap(value: unknown): unknown {
  if (UNKNOWN_TEXTS.has(value)) return UNKNOWN;
  if (Array.isArray(value)) return value.map(unwrap);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Readonly<Record<string, unknown>>;
  if (fields[SIGNATURE_KEY] === SECRET_SIGNATURE) return new Sealed(unwrap(fields["value"]));
  return Object.fromEntries(Object.entries(fields).map(([key, inner]) => [key, unwrap(inner)]));
}
