import { describe, expect, it } from "vitest";

import { engineAddressOf } from "../../../provider/plugin/rpc.ts";

describe("engineAddressOf", () => {
  it("takes the last plain argument when the engine runs with --tracing", () => {
    const args = ["--logtostderr", "-v=9", "--tracing", "file:///tmp/trace", "127.0.0.1:4321"];

    expect(engineAddressOf(args)).toBe("127.0.0.1:4321");
  });

  it("finds no address when nobody passes one", () => {
    expect(engineAddressOf(["--logtostderr"])).toBeUndefined();
  });
});
