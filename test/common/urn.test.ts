import { describe, expect, it } from "vitest";

import { nameOf, parseUrn } from "../../common/urn.ts";

describe("parseUrn", () => {
  it("separates the parents from the type, outermost first", () => {
    expect(parseUrn("urn:pulumi:test::technicia::a:b:C$d:e:F$technicia:ovh:Vps::vps-server")).toEqual({
      stack: "test",
      project: "technicia",
      parents: ["a:b:C", "d:e:F"],
      type: "technicia:ovh:Vps",
      name: "vps-server",
    });
  });

  it("keeps a name that holds the separator whole", () => {
    expect(nameOf("urn:pulumi:test::technicia::technicia:ovh:Vps::a::b")).toBe("a::b");
  });

  it("takes a text that is no URN for a name", () => {
    expect(parseUrn("vps-server")).toMatchObject({ type: "", name: "vps-server" });
  });
});
