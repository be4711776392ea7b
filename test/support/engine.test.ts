import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { register, reveal, Sealed, UNKNOWN, valueOf } from "./engine.ts";

/** A resource of no real kind, with one value that its provider computes. */
class Thing extends pulumi.CustomResource {
  declare readonly sha256: pulumi.Output<string>;

  constructor(name: string, inputs: pulumi.Inputs = {}, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:File", name, { ...inputs, sha256: undefined }, opts);
  }
}

class Group extends pulumi.ComponentResource {
  constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
    super("test:index:Group", name, {}, opts);
    new Thing(`${name}-member`, {}, { parent: this });
    this.registerOutputs({ key: pulumi.secret("seen by nobody") });
  }
}

describe("register", () => {
  it("records inputs with every secret sealed where it was given", async () => {
    const { resource } = await register(
      () =>
        new Thing("one", {
          open: "in clear",
          list: ["a", pulumi.secret("b")],
          map: { key: pulumi.secret("c") },
        }),
    );

    expect(resource("one").inputs).toEqual({
      open: "in clear",
      list: ["a", new Sealed("b")],
      map: { key: new Sealed("c") },
    });
    expect(JSON.stringify(resource("one").inputs)).toBe(
      '{"list":["a","[secret]"],"map":{"key":"[secret]"},"open":"in clear"}',
    );
    expect(reveal(resource("one").inputs)).toBe('{"list":["a","b"],"map":{"key":"c"},"open":"in clear"}');
  });

  it("seals what is derived from a secret", async () => {
    const { resource } = await register(
      () => new Thing("one", { text: pulumi.interpolate`key ${pulumi.secret("k")}` }),
    );

    expect(resource("one").inputs).toEqual({ text: new Sealed("key k") });
  });

  it("records the options that protect and replace", async () => {
    const { resource } = await register(() => {
      new Thing(
        "guarded",
        {},
        { protect: true, retainOnDelete: true, deleteBeforeReplace: true, replaceOnChanges: ["open"] },
      );
      new Thing("plain");
    });

    expect(resource("guarded")).toMatchObject({
      protect: true,
      retainOnDelete: true,
      deleteBeforeReplace: true,
      replaceOnChanges: ["open"],
    });
    expect(resource("plain")).toMatchObject({
      protect: false,
      retainOnDelete: false,
      deleteBeforeReplace: false,
      replaceOnChanges: [],
    });
  });

  it("records dependencies through inputs, options, members of a component and parents", async () => {
    const { waitsFor } = await register(() => {
      const first = new Thing("first");
      const second = new Thing("second", { of: first.sha256 });
      const group = new Group("group", { dependsOn: [second] });
      new Thing("last", {}, { dependsOn: [group] });
    });

    expect(waitsFor("second", "first")).toBe(true);
    expect(waitsFor("group-member", "first")).toBe(true);
    expect(waitsFor("last", "group-member")).toBe(true);
    expect(waitsFor("first", "last")).toBe(false);
  });

  it("keeps unknown values unknown in a preview, which misses a resource that is created inside apply", async () => {
    const program = () => {
      const first = new Thing("first");
      new Thing("second", { of: first.sha256 });
      first.sha256.apply(() => new Thing("created inside apply"));
    };

    const preview = await register(program, { preview: true });
    const update = await register(program);

    expect(preview.resource("second").inputs).toEqual({ of: UNKNOWN });
    expect(update.resource("second").inputs).toEqual({ of: "digest of first" });
    expect(preview.registrations.map(({ name }) => name)).not.toContain("created inside apply");
    expect(update.registrations.map(({ name }) => name)).toContain("created inside apply");
  });

  it("records the outputs of components, sealed too", async () => {
    const { component, componentOutputs } = await register(() => new Group("group"));

    expect(componentOutputs[component("group").urn]).toEqual({ key: new Sealed("seen by nobody") });
  });

  it("fails when the program throws", async () => {
    const refused = register(() => {
      throw new Error("refused");
    });

    await expect(refused).rejects.toThrow("refused");
  });

  it("fails when a resource is registered twice", async () => {
    const twice = register(() => {
      new Thing("one");
      new Thing("one");
    });

    await expect(twice).rejects.toThrow("expected each resource once, got it twice");
  });
});

describe("valueOf", () => {
  it("gives the value of an output, sealed when it is secret", async () => {
    const { result } = await register(() => new Thing("one"));

    expect(await valueOf(result.sha256)).toBe("digest of one");
    expect(await valueOf(pulumi.secret("k"))).toEqual(new Sealed("k"));
  });
});
