/** The certificate on a gateway that does not order it: it fetches certificate and key from the server that does. */
import * as pulumi from "@pulumi/pulumi";

import { script, scriptFunctions } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { GATEWAY_DIRECTORY } from "./gateway-config.ts";

const PROGRAM = "/opt/technicia/bin/certificate-copy";
const PROOF = "/etc/technicia/certificate-copy.proof";
const UNIT = "technicia-certificate-copy";

/** What was fetched; certbot's own folder would make certbot refuse, were this server to order one day. */
const COPY = "/opt/technicia/certificate-copy";

/** How a pair is installed, as the server that orders it does it. */
const SHARED = [
  ...["served", "fingerprint", "install_pair", "link_pair", "point"],
  ...["is_installed", "is_presented", "install_live"],
];

export interface CertificateCopyArgs {
  readonly host: technicia.Connection;

  /** Name of its server. */
  readonly server: string;

  /** What the server shows at the door of the other one. */
  readonly proof: pulumi.Input<string>;

  /** The server that orders the certificate. */
  readonly source: {
    readonly name: string;

    /** In the tunnel. */
    readonly address: string;
  };

  /** The certificate's first name. */
  readonly name: string;

  /** What port 443 is to present, in the words of that server's `certificate status`. */
  readonly wanted: string;
}

/** A gateway's copy of the certificate, and the timer that fetches it again once it is renewed. */
export class CertificateCopy extends pulumi.ComponentResource {
  readonly served: technicia.State;

  constructor(name: string, args: CertificateCopyArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:CertificateCopy", name, {}, opts);
    const onHost = { parent: this, provider: args.host };
    const settings = new technicia.File(
      `${name}-settings`,
      { path: "/etc/technicia/certificate-copy.env", content: renderSettings(args) },
      onHost,
    );
    const proof = new technicia.File(
      `${name}-proof`,
      { path: PROOF, content: pulumi.secret(pulumi.interpolate`${args.proof}\n`), mode: "0400" },
      onHost,
    );
    const program = new technicia.File(
      `${name}-program`,
      { path: PROGRAM, content: renderProgram(), mode: "0755", validate: 'bash -n "$FILE"' },
      onHost,
    );
    const units = Object.entries({ service: SERVICE, timer: TIMER }).map(
      ([kind, content]) =>
        new technicia.File(
          `${name}-${kind}`,
          { path: `/etc/systemd/system/${UNIT}.${kind}`, content, onChange: "systemctl daemon-reload" },
          onHost,
        ),
    );
    this.served = new technicia.State(
      `${name}-served`,
      { observe: `${PROGRAM} status`, desired: args.wanted, apply: `${PROGRAM} fetch`, timeoutSeconds: 300 },
      { ...onHost, dependsOn: [settings, proof, program] },
    );
    new technicia.Unit(
      `${name}-renewal`,
      { unit: `${UNIT}.timer`, enabled: true, active: true },
      { ...onHost, dependsOn: [...units, this.served] },
    );
    this.registerOutputs({});
  }
}

/** The program on the server. */
export function renderProgram(): string {
  const functions = scriptFunctions(new URL("scripts/certificate.sh", import.meta.url), SHARED);
  return script(new URL("scripts/certificate-copy.sh", import.meta.url)).replace(
    "# functions: certificate.sh\n",
    () => functions,
  );
}

/** No value of it has a character that means anything to a shell. */
function renderSettings({ server, source, name }: CertificateCopyArgs): string {
  const settings = {
    SERVER: server,
    SOURCE: source.name,
    ADDRESS: source.address,
    NAME: name,
    TLS: `${GATEWAY_DIRECTORY.host}/tls`,
    COPY,
  };
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}

const SERVICE = `[Unit]
Description=Fetch TechnicIA's certificate from the server that orders it
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=${PROGRAM} fetch
TimeoutStartSec=300
`;

const TIMER = `[Unit]
Description=Ask every hour whether TechnicIA's certificate has been renewed

[Timer]
OnCalendar=hourly
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
`;
