/** The gateways of several servers: their certificate, and how one takes the place of another. */
import { beforeAll, describe, expect, it } from "vitest";

import { joinProof } from "../../infra/server-keys.ts";
import type { Deployment } from "../../stacks/outputs.ts";
import { tunnelAddress } from "../../stacks/servers.ts";
import { type Recording, reveal, Sealed } from "../support/engine.ts";
import { strongSecrets } from "../support/fixtures.ts";
import { listed, three, twoAndWitness } from "../support/servers.ts";
import { deploy } from "../support/technicia.ts";

type Program = Recording<Deployment>;

const inputsOf = ({ resource }: Program, name: string) => resource(name).inputs;
const addressOf = (name: string) => tunnelAddress({ cidr: "10.86.0.0/16" }, name);

describe.each([
  ["three servers", three, ["gra-2", "gra-3"]],
  ["two servers and a witness", twoAndWitness, ["gra-2", "sbg-1"]],
] as const)("the gateways of %s", (_shape, servers, others) => {
  const gateways = others.filter((name) => name.startsWith("gra"));
  let program: Program;
  beforeAll(async () => {
    program = await deploy({ settings: listed(servers) });
  });

  it("gives certificate and key at the door of the server that orders them alone, and to other gateways alone", () => {
    const rights = (name: string) => {
      const { content } = inputsOf(program, name);
      const lines = ((content as Sealed).value as string).trim().split("\n");
      return lines.map((line) => [line.split(" ")[0], line.split(" ").slice(3).join()]);
    };

    expect(rights("host-door-list")).toEqual(
      others.map((name) => [name, gateways.includes(name) ? "certificate" : ""]),
    );
    for (const name of others) {
      expect(rights(`${name}/host-door-list`).map(([, right]) => right)).toEqual(["", ""]);
    }
  });

  it("waits itself until every server runs the gateway, because Docker's plugin refuses to", () => {
    const { inputs } = program.resource("technicia-gateway-service");
    expect(inputs["mode"]).toEqual({ global: true });
    expect(inputs).not.toHaveProperty("convergeConfig");
    expect(program.resource("technicia-qdrant-service").inputs).toHaveProperty("convergeConfig");

    expect(program.waitsFor("technicia-gateway-converged", "technicia-gateway-service")).toBe(true);
    for (const name of ["technicia-gateway-handover-end", "public-probe"])
      expect(program.waitsFor(name, "technicia-gateway-converged"), name).toBe(true);
  });

  it("has every other gateway fetch the certificate once it is there, and the public address asked after that", () => {
    const copies = program.registrations.filter(({ name }) => name.endsWith("/certificate-copy-served"));

    expect(copies.map(({ name, provider }) => [name, provider]).sort()).toEqual(
      gateways.map((name) => [`${name}/certificate-copy-served`, `${name}/host-connection`]),
    );
    for (const name of gateways) {
      const served = `${name}/certificate-copy-served`;
      expect(inputsOf(program, served)).toEqual({
        observe: "/opt/technicia/bin/certificate-copy status",
        desired: inputsOf(program, "certificate-served")["desired"],
        apply: "/opt/technicia/bin/certificate-copy fetch",
        timeoutSeconds: 300,
      });
      expect(program.waitsFor(served, "certificate-served")).toBe(true);
      expect(program.waitsFor("public-probe", served)).toBe(true);
      expect(String(inputsOf(program, `${name}/certificate-copy-settings`)["content"]).split("\n")).toEqual(
        expect.arrayContaining([`SERVER=${name}`, "SOURCE=gra-1", `ADDRESS=${addressOf("gra-1")}`]),
      );
      const proof = joinProof(strongSecrets().wireguardKey, name);
      expect(inputsOf(program, `${name}/certificate-copy-proof`)).toEqual({
        path: "/etc/technicia/certificate-copy.proof",
        content: new Sealed(`${proof}\n`),
        mode: "0400",
      });
    }
  });

  it("hands over one gateway after the other, all before Docker replaces the first and back after it has replaced the last", () => {
    const prefixes = ["", ...gateways.map((name) => `${name}/`)];
    const order = [
      "technicia-gateway-second-start",
      ...prefixes.map((server) => `${server}technicia-gateway-handover-begin`),
      "technicia-gateway-service",
      ...prefixes.map((server) => `${server}technicia-gateway-handover-end`),
      "technicia-gateway-second-end",
    ];

    for (const [index, name] of order.slice(1).entries()) {
      expect(program.waitsFor(name, order[index]!), `${name} after ${order[index]}`).toBe(true);
    }
    for (const server of prefixes.slice(1)) {
      const begin = program.resource(`${server}technicia-gateway-handover-begin`);
      expect(begin.provider).toBe(`${server}host-connection`);
      expect(program.waitsFor(begin.name, `${server}technicia-gateway-configuration`)).toBe(true);
    }
    for (const end of ["start", "end"]) {
      expect(program.resource(`technicia-gateway-second-${end}`).provider).toBe("host-connection");
    }
  });
});

describe("a worker that orders the certificate", () => {
  it("has a door to give it through, and managers are asked to start second gateways", async () => {
    const worker = { role: "worker", labels: ["gateway"] };
    const program = await deploy({
      settings: listed([
        { ...three[0]!, labels: three[0]!.labels.filter((label) => label !== "gateway") },
        { ...three[1]!, ...worker },
        { ...three[2]!, ...worker },
      ]),
    });

    expect(program.resource("certificate-served").provider).toBe("gra-2/host-connection");
    expect(reveal(inputsOf(program, "gra-2/host-door-list"))).toMatch(
      /"gra-1 manager [0-9a-f]{64}\\ngra-3 worker [0-9a-f]{64} certificate\\n"/,
    );
    expect(program.registrations.map(({ name }) => name)).not.toContain("gra-3/host-door-list");
    expect(program.resource("technicia-gateway-second-start").provider).toBe("host-connection");
    expect(program.resource("technicia-gateway-handover-begin").provider).toBe("gra-2/host-connection");
  });
});
