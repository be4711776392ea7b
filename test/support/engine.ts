/**
 * A fake engine: runs a program and records what it registers, in the form in which the SDK sends it.
 *
 * Nothing has to be awaited by the program under test; `register` returns once every registration has arrived.
 */
import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest, RegisterResourceResponse } from "@pulumi/pulumi/proto/resource_pb.js";
import { SECRET_SIGNATURE, SIGNATURE_KEY } from "../../common/property-signatures.ts";

/** Placeholder of a preview for a value that only an update knows. */
export const UNKNOWN = pulumi.runtime.unknownValue;

/** A value that the program gave as a secret; printed as JSON it hides what it holds. */
export class Sealed {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }

  toJSON(): string {
    return "[secret]";
  }
}

/** One resource, as the program asked the engine for it. */
export interface Registration {
  readonly urn: string;

  /** The URN as the engine would write it, without stack and project: the types of all parents, the type, the name. */
  readonly identity: string;
  readonly type: string;
  readonly name: string;

  /** Whether a provider creates it; otherwise it is a component. */
  readonly custom: boolean;

  /** Secrets are `Sealed`, exactly where they were given. */
  readonly inputs: Readonly<Record<string, unknown>>;

  /** Logical name of the provider; empty for the default one. */
  readonly provider: string;

  /** Logical name of the parent; empty for none. */
  readonly parent: string;

  /** Everything that it waits for, by URN. */
  readonly dependencies: readonly string[];

  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly replaceOnChanges: readonly string[];
}

export interface Recording<T> {
  /** In order of arrival. */
  readonly registrations: readonly Registration[];

  /** Outputs of the components, by URN. */
  readonly componentOutputs: Readonly<Record<string, unknown>>;

  readonly result: T;

  /** The one resource of this name that a provider creates; throws if there is none. */
  readonly resource: (name: string) => Registration;
  readonly component: (name: string) => Registration;

  /** Sorted by name, because independent resources arrive in any order. */
  readonly ofType: (type: string) => readonly Registration[];

  /** Whether the engine creates the first one only after the second one, directly or through others. */
  readonly waitsFor: (name: string, other: string) => boolean;
}

export interface Circumstances {
  /** Whether what a provider computes is unknown, as in the preview of a first deployment. */
  readonly preview?: boolean;

  /** Configuration of the stack, and which of its keys are encrypted. */
  readonly configuration?: { readonly values: Record<string, string>; readonly encrypted: readonly string[] };
}

/** Runs the program on an engine of its own and waits until it has registered everything. */
export async function register<T>(
  program: () => T | Promise<T>,
  { preview = false, configuration }: Circumstances = {},
): Promise<Recording<T>> {
  const mocks: pulumi.runtime.Mocks = {
    call: ({ token }) => {
      throw new Error(`${token}: expected a program that calls no function of a provider`);
    },
    newResource: ({ type, name, inputs, custom }) => ({
      id: preview || custom === false ? undefined : `id-of-${name}`,
      state: {
        ...(inputs as object),
        ...(preview ? {} : computed(type, name, inputs as Readonly<Record<string, unknown>>)),
      },
    }),
  };
  await pulumi.runtime.setMocks(mocks, "technicia", "test", preview);
  pulumi.runtime.setAllConfig(configuration?.values ?? {}, [...(configuration?.encrypted ?? [])]);
  const recorder = record();

  const result = await program();
  await pulumi.runtime.disconnect();
  refuseDuplicates(recorder.registrations);
  return { ...recorder, ...lookups(recorder.registrations), result };
}

/** A value of an output, `Sealed` when it is secret; for updates, where every value comes to be known. */
export async function valueOf(output: unknown): Promise<unknown> {
  const known: pulumi.Output<unknown> = pulumi.output(output);
  const value = await new Promise<unknown>((resolve) => known.apply(resolve));
  return (await pulumi.isSecret(known)) ? new Sealed(value) : value;
}

/** The inputs with every secret in clear, as JSON. */
export function reveal(inputs: unknown): string {
  return JSON.stringify(openAll(inputs));
}

function openAll(value: unknown): unknown {
  if (value instanceof Sealed) return openAll(value.value);
  if (Array.isArray(value)) return value.map(openAll);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, openAll(inner)]));
}

/** What the providers of this project's resources compute. */
function computed(
  type: string,
  name: string,
  inputs: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  switch (type) {
    case "technicia:ovh:Vps":
      return {
        serviceName: inputs["serviceName"] ?? "vps-1a2b3c4d.vps.ovh.net",
        ipv4: `203.0.113.1${numberOf(name)}`,
        ipv6: `2001:db8:113::1${numberOf(name)}`,
        model: "VPS-2",
        vcore: 4,
        memoryMib: 8192,
        diskGib: 160,
        zone: "Region OpenStack: os-gra1",
        osImage: "Debian 12",
        state: "running",
        serverId: "disk-1",
      };
    case "technicia:ovh:ReverseName":
      return { accepted: inputs["name"] };
    case "technicia:ovh:EdgeFirewall":
      return { state: "ok" };
    case "technicia:host:HostKey":
      return { hostKey: "ssh-ed25519 AAAAhost", fingerprint: "SHA256:host" };
    case "technicia:host:Packages":
      return { versions: { "docker.io": "20.10.24" } };
    case "technicia:host:Image":
      return { reference: `${String(inputs["name"]).split("@")[0]}@sha256:${"1".repeat(64)}` };
    case "technicia:host:File":
      return { sha256: `digest of ${name}` };
    case "technicia:host:State":
      return { observed: `what ${name} observed`, applied: 1 };
    case "technicia:host:Unit":
      return { loadState: "loaded" };
    case "docker:index/secret:Secret":
      return { name: `${name}-1a2b3c4` };
    default:
      return {};
  }
}

/** Of a resource of another server than the first, such as `gra-2/vps-server`: 2. */
function numberOf(name: string): string {
  return /(\d)\//.exec(name)?.[1] ?? "0";
}

type Callback = (error: Error | null, response?: RegisterResourceResponse) => void;

/** The fake that the SDK calls; the SDK exports its class for types only. */
interface Monitor {
  registerResource: (request: RegisterResourceRequest, callback: Callback) => Promise<void>;
  registerResourceHook: (
    request: { getName: () => string },
    callback: (error: Error | null, response?: object) => void,
  ) => void;
  registerResourceOutputs: (
    request: { getUrn: () => string; getOutputs: () => { toJavaScript: () => object } | undefined },
    callback: (error: Error | null, response?: object) => void,
  ) => void;
}

function record(): Pick<Recording<unknown>, "registrations" | "componentOutputs"> {
  const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
  const registrations: Registration[] = [];
  const componentOutputs: Record<string, unknown> = {};

  const types = new Map<string, string>();

  const answer = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) =>
    answer(request, (error, response) => {
      if (response !== undefined) {
        const above = types.get(request.getParent());
        const type = above === undefined ? request.getType() : `${above}$${request.getType()}`;
        types.set(response.getUrn(), type);
        registrations.push(
          read(request, { urn: response.getUrn(), identity: `${type}::${request.getName()}` }),
        );
      }
      callback(error, response);
    });
  monitor.registerResourceHook = (_request, callback) => callback(null, {});
  monitor.registerResourceOutputs = (request, callback) => {
    componentOutputs[request.getUrn()] = unwrap(request.getOutputs()?.toJavaScript() ?? {});
    callback(null, {});
  };
  return { registrations, componentOutputs };
}

function refuseDuplicates(registrations: readonly Registration[]): void {
  const urns = registrations.map(({ urn }) => urn);
  const duplicate = urns.find((urn, index) => urns.indexOf(urn) !== index);
  if (duplicate !== undefined) throw new Error(`${duplicate}: expected each resource once, got it twice`);
}

function read(
  request: RegisterResourceRequest,
  identity: Pick<Registration, "urn" | "identity">,
): Registration {
  return {
    ...identity,
    type: request.getType(),
    name: request.getName(),
    custom: request.getCustom(),
    inputs: unwrap(request.getObject()?.toJavaScript() ?? {}) as Record<string, unknown>,
    provider: nameIn(request.getProvider()),
    parent: nameIn(request.getParent()),
    dependencies: [
      ...request.getDependenciesList(),
      request.getParent(),
      request.getProvider().replace(/::[^:]*$/, ""),
    ].filter((dependency) => dependency !== ""),
    protect: request.getProtect() ?? false,
    retainOnDelete: request.getRetainondelete() ?? false,
    deleteBeforeReplace: request.getDeletebeforereplace(),
    replaceOnChanges: request.getReplaceonchangesList(),
  };
}

function unwrap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unwrap);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (fields[SIGNATURE_KEY] === SECRET_SIGNATURE) return new Sealed(unwrap(fields["value"]));
  return Object.fromEntries(Object.entries(fields).map(([key, inner]) => [key, unwrap(inner)]));
}

/** The logical name in a URN, or in a provider's reference, which is a URN and an id. */
function nameIn(reference: string): string {
  return reference.split("::")[3] ?? "";
}

function lookups(
  registrations: readonly Registration[],
): Pick<Recording<unknown>, "resource" | "component" | "ofType" | "waitsFor"> {
  const find = (name: string, custom: boolean): Registration => {
    const found = registrations.find((one) => one.name === name && one.custom === custom);
    if (found === undefined) {
      const names = registrations.filter((one) => one.custom === custom).map((one) => one.name);
      throw new Error(`expected a registration named ${name}, got ${names.join(", ")}`);
    }
    return found;
  };
  const byUrn = new Map(registrations.map((one) => [one.urn, one]));
  const waits = (urn: string, other: string, seen: Set<string>): boolean => {
    if (seen.has(urn)) return false;
    seen.add(urn);
    const dependencies = byUrn.get(urn)?.dependencies ?? [];
    return dependencies.some((dependency) => dependency === other || waits(dependency, other, seen));
  };
  return {
    resource: (name) => find(name, true),
    component: (name) => find(name, false),
    ofType: (type) =>
      registrations.filter((one) => one.type === type).sort((a, b) => (a.name < b.name ? -1 : 1)),
    waitsFor: (name, other) => waits(find(name, true).urn, find(other, true).urn, new Set()),
  };
}
