import { describe, expect, it } from "vitest";

import { adoptable, COMPONENTS } from "../../../ops/recovery/adoptable.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { deploy, everything, least, type Variant } from "../../support/technicia.ts";

/** Of the vendors, but set again without a second one coming into being. */
const SET_AGAIN = ["edge-firewall-rules", "dns-reverse-name", "dns-reverse-v4"];

describe.each<[string, Variant]>([
  ["everything", everything],
  ["least", least],
])("what is adopted where the state is lost, with %s", (_name, variant) => {
  const list = () => adoptable(environmentWith(variant.settings));

  it("is where the program has it", async () => {
    const { resource, component } = await deploy(variant);
    for (const { name, type, parent, provider, protect = false, retainOnDelete = false } of list()) {
      expect(resource(name), name).toMatchObject({ type, parent, provider, protect, retainOnDelete });
      expect(component(parent).type).toBe(COMPONENTS[parent]);
    }
  });

  it("is everything that the program creates at a vendor", async () => {
    const { registrations } = await deploy(variant);
    const atVendors = registrations.filter(
      ({ custom, provider }) => custom && ["ovh", "cloudflare", "cloud"].includes(provider),
    );
    const { source } = environmentWith(variant.settings).server;
    const byItself = source.kind === "adopt" ? ["vps-server"] : [];

    const names = atVendors
      .map(({ name }) => name)
      .filter((name) => ![...SET_AGAIN, ...byItself, "host-key"].includes(name));
    expect(
      list()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(names.toSorted());
  });
});
