import * as pulumi from "@pulumi/pulumi";

import { LETSENCRYPT } from "../common/certificate-files.ts";
import { shellQuote } from "../common/shell-quote.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { GATEWAY_DIRECTORY, WEBROOT } from "./gateway-config.ts";

const PROGRAM = "/opt/technicia/bin/certificate";
const UNIT = "technicia-certificate";

/** What an environment decides about its certificate. */
export interface CertificateArgs {
  readonly host: technicia.Connection;

  /** certbot's image. */
  readonly image: pulumi.Input<string>;

  /** Names that the certificate covers; the first one gives it its name. */
  readonly domains: readonly string[];

  readonly email: string;

  /** Directory URL of the authority. */
  readonly directory: string;

  readonly keyType: "ecdsa" | "rsa";

  /** Address that the names must resolve to before a certificate is ordered. */
  readonly address: pulumi.Input<string>;
}

/**
 * The certificate that the gateway serves, and the timer that renews it.
 *
 * It observes what port 443 presents: an expiring certificate, another name, another authority and the placeholder are drift.
 */
export class Certificate extends pulumi.ComponentResource {
  readonly served: technicia.State;

  constructor(name: string, args: CertificateArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Certificate", name, {}, opts);
    const onHost = { parent: this, provider: args.host };

    const settings = new technicia.File(
      `${name}-settings`,
      {
        path: "/etc/technicia/certificate.env",
        content: pulumi.output(args.image).apply((image) => renderSettings(args, image)),
      },
      onHost,
    );
    const program = new technicia.File(
      `${name}-program`,
      {
        path: PROGRAM,
        content: script(new URL("scripts/certificate.sh", import.meta.url)),
        mode: "0755",
        validate: 'bash -n "$FILE"',
      },
      onHost,
    );
    const units = ["service", "timer"].map(
      (kind) =>
        new technicia.File(
          `${name}-${kind}`,
          {
            path: `/etc/systemd/system/${UNIT}.${kind}`,
            content: kind === "service" ? SERVICE : TIMER,
            onChange: "systemctl daemon-reload",
          },
          onHost,
        ),
    );
    this.served = new technicia.State(
      `${name}-served`,
      {
        observe: `${PROGRAM} status`,
        desired: wantedStatus(args),
        apply: `ADDRESS="$ADDRESS" ${PROGRAM} issue`,
        variables: { ADDRESS: args.address },
        // The authority answers within seconds, but new DNS records may take minutes to be visible.
        timeoutSeconds: 600,
      },
      { ...onHost, dependsOn: [settings, program] },
    );
    new technicia.Unit(
      `${name}-renewal`,
      { unit: `${UNIT}.timer`, enabled: true, active: true },
      { ...onHost, dependsOn: [...units, this.served] },
    );
    this.registerOutputs({});
  }
}

/** What `certificate status` prints when port 443 presents the right certificate. */
export function wantedStatus(args: Pick<CertificateArgs, "domains" | "keyType" | "directory">): string {
  return `valid for ${[...args.domains].sort().join(" ")}, ${args.keyType}, from ${args.directory}`;
}

function renderSettings(args: CertificateArgs, image: string): string {
  const settings = {
    IMAGE: image,
    DOMAINS: args.domains.join(" "),
    EMAIL: args.email,
    DIRECTORY: args.directory,
    KEY_TYPE: args.keyType,
    TLS: `${GATEWAY_DIRECTORY.host}/tls`,
    WEBROOT: WEBROOT.host,
    LETSENCRYPT,
  };
  // An e-mail address may contain an apostrophe.
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${shellQuote(value)}\n`)
    .join("");
}

const SERVICE = `[Unit]
Description=Renew TechnicIA's certificate when it is due
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=${PROGRAM} renew
`;

const TIMER = `[Unit]
Description=Look twice a day whether TechnicIA's certificate is due

[Timer]
OnCalendar=*-*-* 00,12:00:00
RandomizedDelaySec=6h
Persistent=true

[Install]
WantedBy=timers.target
`;
