import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";

import type { AnyDefinition } from "../../provider/plugin/definition.ts";
import { file } from "../../provider/host/file.ts";
import { hostKey } from "../../provider/host/host-key.ts";
import { image } from "../../provider/host/image.ts";
import { packages } from "../../provider/host/packages.ts";
import { state } from "../../provider/host/state.ts";
import { unit } from "../../provider/host/unit.ts";
import { edgeFirewall } from "../../provider/ovh/firewall/resource.ts";
import { vps } from "../../provider/ovh/vps/resource.ts";
import * as resources from "../../provider/resources.ts";
import { settingsSchema } from "../../provider/plugin/settings.ts";

interface Registered {
  readonly type: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

const guard = { seconds: 90 };

/** Every class with every argument it takes. */
const programs: Readonly<Record<string, () => pulumi.Resource>> = {
  "pulumi:providers:technicia": () =>
    new resources.Connection("x", {
      hostAddress: "a",
      hostPort: "22",
      hostUser: "u",
      hostPrivateKeyFile: "f",
      hostKey: "k",
      serverId: "s",
      ovhEndpoint: "ovh-eu",
      ovhApplicationKey: "k",
      ovhApplicationSecret: "s",
      ovhConsumerKey: "c",
      ovhClientId: "i",
      ovhClientSecret: "s",
    }),
  [hostKey.token]: () =>
    new resources.HostKey("x", { address: "a", port: 22, serverId: "s", expected: "SHA256:x" }),
  [file.token]: () =>
    new resources.File("x", {
      path: "/a",
      content: "c",
      owner: "o",
      group: "g",
      mode: "0600",
      validate: "v",
      onChange: "c",
      guard,
    }),
  [image.token]: () =>
    new resources.Image("x", {
      name: "a:1.0.0",
      login: { host: "h", username: "u", password: "p" },
      dockerConfig: "/d",
    }),
  [packages.token]: () => new resources.Packages("x", { names: ["a"], namesIfKnown: ["b"] }),
  [unit.token]: () =>
    new resources.Unit("x", {
      unit: "a.service",
      enabled: true,
      active: true,
      masked: false,
      triggers: ["t"],
      guard,
    }),
  [state.token]: () =>
    new resources.State("x", {
      observe: "o",
      desired: "d",
      apply: "a",
      remove: "r",
      variables: { A: "a" },
      secrets: { B: "b" },
      timeoutSeconds: 1,
      guard,
    }),
  [vps.token]: () =>
    new resources.Vps("x", {
      serviceName: "s",
      order: { subsidiary: "FR", maxMonthlyPriceEur: 1 },
      name: "n",
      vcores: 1,
      memoryGib: 1,
      datacentre: "GRA",
      image: "Debian 12",
      publicKey: "k",
      deleteAtExpiry: false,
    }),
  [edgeFirewall.token]: () =>
    new resources.EdgeFirewall("x", {
      ip: "203.0.113.10",
      rules: [],
      guard: { sshPort: 22, seconds: 90, addressService: "none" },
    }),
};

const shapes = new Map<string, Readonly<Record<string, unknown>>>([
  ["pulumi:providers:technicia", settingsSchema.shape],
  ...[hostKey, file, image, packages, unit, state, vps, edgeFirewall].map((definition: AnyDefinition) => {
    return [definition.token, definition.schema.shape] as const;
  }),
]);

/** Inputs only so that a refresh can show them changed; no program sets them. */
const unset: Readonly<Record<string, readonly string[]>> = { [edgeFirewall.token]: ["enabled"] };

let registered: Registered[];

beforeAll(async () => {
  registered = [];
  await pulumi.runtime.setMocks({
    newResource: ({ type, inputs }) => {
      registered.push({ type, inputs: inputs as Registered["inputs"] });
      return { id: "id", state: {} };
    },
    call: () => ({}),
  });
  Object.values(programs).forEach((create) => create());
  await pulumi.runtime.disconnect();
});

describe("resources.ts", () => {
  it("has a class for every resource of the plugin", () => {
    expect(registered.map(({ type }) => type).sort()).toEqual([...shapes.keys()].sort());
  });

  it.each([...shapes.keys()])("gives %s the inputs that the plugin checks, and no other", (token) => {
    const inputs = registered.find(({ type }) => type === token)?.inputs ?? {};
    const given = Object.keys(inputs).filter((name) => inputs[name] !== undefined && inputs[name] !== null);

    expect([...given, ...(unset[token] ?? [])].sort()).toEqual(Object.keys(shapes.get(token) ?? {}).sort());
  });
});
