import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { placesOf as placesOfShape, SHAPES } from "../../rehearsal/fleet.ts";
import { committedSettings, renderSettings } from "../../rehearsal/stack-settings.ts";
import { placesOf, serverNames } from "../../rehearsal/world.ts";
import { parseSettings, settingsIn } from "../../stacks/settings.ts";
import { publicKey } from "../support/fixtures.ts";

describe("the servers of a rehearsal", () => {
  it.each(SHAPES)("are settings that the program takes, with %s", async (servers) => {
    const document = await committedSettings("test");
    renderSettings(document, {
      ...{ stack: "test", accounts: { zoneId: "0".repeat(32), ovhProject: "1".repeat(32) } },
      ...{ publicKey, system: "Debian 12", serviceName: undefined, images: {}, sources: undefined },
      servers,
    });
    const { config } = parse(document.toString()) as { config: Record<string, unknown> };
    const texts = Object.entries(config).map(([key, value]): [string, string] => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);

    const environment = parseSettings("test", settingsIn(Object.fromEntries(texts)));

    expect(environment.servers).toHaveLength(placesOfShape(servers).length);
  });

  it.each(SHAPES)("have a place each, in the order of their list, with %s", (servers) => {
    const places = placesOf({ hasNeighbour: false, servers });

    expect(places.map(({ container }) => container)).toEqual(serverNames(servers));
    expect(new Set(places.map(({ ipv4 }) => ipv4)).size).toBe(places.length);
    expect(new Set(places.map(({ ipv6 }) => ipv6)).size).toBe(places.length);
  });

  it("put a witness elsewhere", () => {
    expect(placesOf({ hasNeighbour: false, servers: "2+1" }).map(({ datacentre }) => datacentre)).toEqual([
      ...["GRA", "GRA", "SBG"],
    ]);
  });
});
