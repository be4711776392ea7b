import { execFileSync } from "node:child_process";

import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { Certificate, type CertificateArgs } from "../../components/certificate.ts";
import * as technicia from "../../provider/resources.ts";
import { register } from "../support/engine.ts";

const DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory";

function define(change: Partial<CertificateArgs> = {}) {
  return register(() => {
    new Certificate(
      "certificate",
      {
        host: new technicia.Connection("host", {}),
        image: "certbot/certbot:v5.8.0",
        domains: ["technicia.exemple.fr", "n8n.technicia.exemple.fr"],
        email: "admin@exemple.fr",
        directory: DIRECTORY,
        keyType: "ecdsa",
        address: pulumi.output("203.0.113.10"),
        ...change,
      },
      {},
    );
  });
}

describe("Certificate", () => {
  it("wants port 443 to present all names in order, the kind of key and the authority", async () => {
    const { resource } = await define();

    expect(resource("certificate-served").inputs).toEqual({
      observe: "/opt/technicia/bin/certificate status",
      desired: `valid for n8n.technicia.exemple.fr technicia.exemple.fr, ecdsa, from ${DIRECTORY}`,
      apply: 'ADDRESS="$ADDRESS" /opt/technicia/bin/certificate issue',
      variables: { ADDRESS: "203.0.113.10" },
      timeoutSeconds: 600,
    });
  });

  it("survives a destroy, or the next deployment would run into the authority's limits", async () => {
    const { resource } = await define();

    expect(resource("certificate-served").inputs["remove"]).toBeUndefined();
  });

  it("tells the program on the host what to order, the domain that names the certificate first", async () => {
    const { resource } = await define();

    const { path, content } = resource("certificate-settings").inputs;
    const read = execFileSync("bash", ["-eu"], {
      input: `${String(content)}printf '%s\\n' "$IMAGE" "$DOMAINS" "$EMAIL" "$DIRECTORY" "$KEY_TYPE"`,
    });

    expect(path).toBe("/etc/technicia/certificate.env");
    expect(read.toString().trim().split("\n")).toEqual([
      "certbot/certbot:v5.8.0",
      "technicia.exemple.fr n8n.technicia.exemple.fr",
      "admin@exemple.fr",
      DIRECTORY,
      "ecdsa",
    ]);
  });

  it("quotes an e-mail address with an apostrophe for the shell", async () => {
    const { resource } = await define({ email: "o'brien@exemple.fr" });
    const { content } = resource("certificate-settings").inputs;

    const read = execFileSync("bash", ["-eu"], { input: `${String(content)}printf %s "$EMAIL"` });

    expect(read.toString()).toBe("o'brien@exemple.fr");
  });

  it("starts a timer that renews twice a day, once a first certificate is served", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("certificate-timer").inputs).toMatchObject({
      path: "/etc/systemd/system/technicia-certificate.timer",
      onChange: "systemctl daemon-reload",
    });
    expect(resource("certificate-timer").inputs["content"]).toMatch(
      /\nOnCalendar=\*-\*-\* 00,12:00:00\n[^]*\nPersistent=true\n/,
    );
    expect(resource("certificate-service").inputs["content"]).toContain(
      "ExecStart=/opt/technicia/bin/certificate renew\n",
    );
    expect(resource("certificate-renewal").inputs).toEqual({
      unit: "technicia-certificate.timer",
      enabled: true,
      active: true,
    });
    for (const first of ["certificate-served", "certificate-timer", "certificate-service"]) {
      expect(waitsFor("certificate-renewal", first), first).toBe(true);
    }
  });

  it("orders only once its program and its settings are in place", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("certificate-program").inputs).toMatchObject({
      path: "/opt/technicia/bin/certificate",
      mode: "0755",
      validate: 'bash -n "$FILE"',
    });
    expect(waitsFor("certificate-served", "certificate-program")).toBe(true);
    expect(waitsFor("certificate-served", "certificate-settings")).toBe(true);
  });
});
