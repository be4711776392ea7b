import { describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { openServer } from "../../../ops/server/connection.ts";

const ssh = {
  address: "203.0.113.10",
  port: 22,
  user: "debian",
  privateKeyFile: "/no/such/key",
  hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4A2DnKKdlJnNUKlt2TiqPsm5gQEmu0CjtkkGGPfPIe",
};

async function failureOf(given: typeof ssh): Promise<Error> {
  const server = openServer({ ssh: given });
  try {
    await server.run({ purpose: "look", script: "true" });
  } catch (error) {
    return error as Error;
  } finally {
    server.close();
  }
  throw new Error("expected a failure, got a success");
}

describe("openServer", () => {
  it("passes on an error of the user as it is", async () => {
    const failure = await failureOf(ssh);

    expect(failure).toBeInstanceOf(UserError);
    expect(failure.cause).toBeUndefined();
    expect(failure.message).toContain("hostPrivateKeyFile: expected a readable private key");
  });

  it("passes on an internal error with its class and its stack trace", async () => {
    const failure = await failureOf({ ...ssh, privateKeyFile: 7 as never });

    expect(failure).toBeInstanceOf(TypeError);
    expect(failure.stack).toContain("credentials.ts");
  });
});
