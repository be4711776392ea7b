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

const TIMER = `[Unit]
Description=Look twice a day whether TechnicIA's certificate is due

[Timer]
OnCalendar=*-*-* 00,12:00:00
RandomizedDelaySec=6h
Persistent=true

[Install]
WantedBy=timers.target
`;

describe("Certificate", () => {
  it("wants served what was asked for: all names in order, the kind of key, the authority", async () => {
    const { resource } = await define();

    expect(resource("certificate-served").inputs).toEqual({
      observe: "/opt/technicia/bin/certificate status",
      desired: `valid for n8n.technicia.exemple.fr technicia.exemple.fr, ecdsa, from ${DIRECTORY}`,
      apply: 'ADDRESS="$ADDRESS" /opt/technicia/bin/certificate issue',
      variables: { ADDRESS: "203.0.113.10" },
      timeoutSeconds: 600,
    });
  });

  it("is not revoked or removed by a destroy: the next deployment would meet the authority's limits", async () => {
    const { resource } = await define();

    expect(resource("certificate-served").inputs["remove"]).toBeUndefined();
  });

  it("names its certificate by the first domain, for every reader of its settings", async () => {
    const { resource } = await define();

    expect(resource("certificate-settings").inputs).toEqual({
      path: "/etc/technicia/certificate.env",
      content: `IMAGE='certbot/certbot:v5.8.0'
DOMAINS='technicia.exemple.fr n8n.technicia.exemple.fr'
EMAIL='admin@exemple.fr'
DIRECTORY='${DIRECTORY}'
KEY_TYPE='ecdsa'
TLS='/opt/technicia/gateway/tls'
WEBROOT='/opt/technicia/acme'
LETSENCRYPT='/opt/technicia/letsencrypt'
`,
    });
  });

  it("gives the shell an address with an apostrophe as it is", async () => {
    const { resource } = await define({ email: "o'brien@exemple.fr" });
    const { content } = resource("certificate-settings").inputs;

    const read = execFileSync("bash", ["-eu"], { input: `${String(content)}printf %s "$EMAIL"` });

    expect(read.toString()).toBe("o'brien@exemple.fr");
  });

  it("renews on a timer twice a day that starts once a first certificate is served", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("certificate-timer").inputs).toEqual({
      path: "/etc/systemd/system/technicia-certificate.timer",
      content: TIMER,
      onChange: "systemctl daemon-reload",
    });
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

  it("asks the authority only with its program and its settings in place", async () => {
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
