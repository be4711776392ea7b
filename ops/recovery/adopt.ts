/**
 * Makes a state that was lost again from what the vendors have, so that the next update changes that instead of making it a second time.
 *
 * What is found is written into the state with the little that identifies it, and a refresh has the plugins read the rest. Pulumi's own import
 * would refuse whatever differs from the program, such as a record that still leads to a lost server.
 */
import { randomUUID } from "node:crypto";

import { readPluginNeeds } from "../../common/plugin-needs.ts";
import { SECRET_SIGNATURE, SIGNATURE_KEY } from "../../common/property-signatures.ts";
import { OVH_KEYS } from "../../stacks/ovh-keys.ts";
import type { Pulumi } from "../engine/cli.ts";
import { readSettings, type Settings } from "../engine/settings.ts";
import { readState, type State, type StateResource } from "../engine/state.ts";
import { adoptable, COMPONENTS, type Adoptable, type Found, type ProviderName } from "./adoptable.ts";
import { AtVendors } from "./at-vendors.ts";

export interface AdoptWorld {
  readonly pulumi: Pulumi;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
}

/** Of the program, as in Pulumi.yaml. */
const PROJECT = "technicia";

/** Gives the name and the vendor's id of each resource that the empty state now has. */
export async function adoptAll(
  stack: string,
  { pulumi, ...world }: AdoptWorld,
): Promise<readonly (readonly [name: string, id: string])[]> {
  const settings = await readSettings(stack, pulumi);
  const vendors = new AtVendors({ ...settings, ...world });
  const found: [Adoptable, Found][] = [];
  for (const one of adoptable(settings.environment)) {
    const there = await one.find(vendors);
    if (there !== undefined) found.push([one, there]);
  }
  if (found.length === 0) return [];
  const state = await readState(stack, pulumi);
  await state.replace({ resources: await describe(settings, found), pending: state.pending });
  await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack] });
  return await stillThere(stack, pulumi, found);
}

/** What the plugins did not find, the refresh has taken out again. */
async function stillThere(
  stack: string,
  pulumi: Pulumi,
  found: readonly (readonly [Adoptable, Found])[],
): Promise<[string, string][]> {
  const { resources }: State = await readState(stack, pulumi);
  const known = new Set(resources.map(({ urn }) => urn));
  return found.flatMap(([one, { id }]) => (known.has(urnOf(stack, one)) ? [[one.name, id]] : []));
}

async function describe(
  settings: Settings,
  found: readonly (readonly [Adoptable, Found])[],
): Promise<StateResource[]> {
  const { name: stack } = settings.environment;
  const root = { urn: rootOf(stack), type: "pulumi:pulumi:Stack", custom: false };
  const providers = await describeProviders(settings, new Set(found.map(([{ provider }]) => provider)));
  const parents = [...new Set(found.map(([{ parent }]) => parent))].map((parent) => ({
    ...{ urn: urn(stack, COMPONENTS[parent], parent), type: COMPONENTS[parent], custom: false },
    parent: root.urn,
  }));
  const resources = found.map(([one, { id, inputs, outputs = {}, secrets = {} }]) => {
    const { type, parent, protect = false, retainOnDelete = false } = one;
    const provider = providers[one.provider]!;
    const hidden = Object.fromEntries(Object.entries(secrets).map(([key, value]) => [key, sealed(value)]));
    return {
      ...{ urn: urnOf(stack, one), type, custom: true, id },
      ...{ parent: urn(stack, COMPONENTS[parent], parent), provider: `${provider.urn}::${provider.id}` },
      ...{ ...(protect && { protect }), ...(retainOnDelete && { retainOnDelete }) },
      ...{ inputs, outputs: { ...inputs, ...outputs, ...hidden } },
    };
  });
  return [root, ...Object.values(providers), ...parents, ...resources];
}

/** The connections, with the keys of the settings. */
async function describeProviders(
  { environment, secrets }: Settings,
  wanted: ReadonlySet<ProviderName>,
): Promise<Readonly<Partial<Record<ProviderName, StateResource>>>> {
  const needs = await readPluginNeeds();
  const { name: stack, ovh, dns } = environment;
  const given = Object.entries(OVH_KEYS).flatMap(([name, argument]) => {
    const value = secrets[name];
    return value === undefined ? [] : [{ name, argument, value: sealed(value) }];
  });
  const token = secrets["cloudflareApiToken"];
  const inputs: Record<ProviderName, Record<string, unknown>> = {
    cloud: {
      ovhEndpoint: ovh.endpoint,
      ...Object.fromEntries(given.map(({ name, value }) => [name, value])),
    },
    ovh: {
      endpoint: ovh.endpoint,
      ...Object.fromEntries(given.map(({ argument, value }) => [argument, value])),
    },
    cloudflare: {
      ...(token !== undefined && { apiToken: sealed(token) }),
      ...(dns.cloudflareBaseUrl !== "" && { baseUrl: dns.cloudflareBaseUrl }),
    },
  };
  return Object.fromEntries(
    [...wanted].map((name) => {
      const type = `pulumi:providers:${name === "cloud" ? "technicia" : name}`;
      const known = { urn: urn(stack, type, name), type, custom: true, id: randomUUID() };
      // As the engine writes which plugin a connection uses; our own belongs to the project.
      const need = needs.find((one) => one.name === name);
      const outputs = { ...inputs[name], ...(need && { version: need.version }) };
      const server = need?.server === undefined ? {} : { __internal: { pluginDownloadURL: need.server } };
      return [name, { ...known, parent: rootOf(stack), inputs: { ...outputs, ...server }, outputs }];
    }),
  );
}

/** As the CLI reads a secret that is not encrypted yet. */
function sealed(value: string): object {
  return { [SIGNATURE_KEY]: SECRET_SIGNATURE, plaintext: JSON.stringify(value) };
}

function urn(stack: string, types: string, name: string): string {
  return `urn:pulumi:${stack}::${PROJECT}::${types}::${name}`;
}

function rootOf(stack: string): string {
  return urn(stack, "pulumi:pulumi:Stack", `${PROJECT}-${stack}`);
}

export function urnOf(stack: string, { type, parent, name }: Adoptable): string {
  return urn(stack, `${COMPONENTS[parent]}$${type}`, name);
}
