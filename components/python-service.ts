import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import {
  Service,
  type SecretFile,
  type CommonServiceArgs,
  type Mount,
  withSecretEnvironment,
} from "./service.ts";

const PORT = 8000;

/** The images name no user; nothing in them needs root. */
export const UID = 10_001;

/** What one of TechnicIA's own FastAPI services decides. */
export interface PythonServiceArgs extends CommonServiceArgs {
  /** Name that callers use; the same with the prefix `technicia-` answers too, since workflows use either. */
  readonly alias: string;

  readonly networks: readonly docker.Network[];

  /** @default - nothing is added */
  readonly environment?: Readonly<Record<string, pulumi.Input<string>>>;

  /**
   * Environment variable → secret that it takes its value from; the value is read when the process starts. Without a secret it is not set.
   *
   * @default - none
   */
  readonly secretEnvironment?: Readonly<Record<string, pulumi.Input<string> | undefined>>;

  /** Secrets read as files. @default none */
  readonly secretFiles?: readonly SecretFile[];

  /** Volumes that it writes to, next to another task of the same service: each file has a name of its own. @default none */
  readonly volumes?: readonly Mount[];
}

/** One of TechnicIA's FastAPI services: HTTP on port 8000 inside, `/health`, no port outside. */
export class PythonService extends pulumi.ComponentResource {
  readonly service: Service;

  constructor(name: string, args: PythonServiceArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:PythonService", name, {}, opts);
    const variables = Object.entries(args.secretEnvironment ?? {}).flatMap(([variable, value]) =>
      value === undefined ? [] : [{ variable, file: variable.toLowerCase(), value }],
    );

    this.service = new Service(
      name,
      {
        ...args,
        networks: args.networks.map((network) => ({
          network,
          aliases: [args.alias, `technicia-${args.alias}`],
        })),
        command: withSecretEnvironment(
          Object.fromEntries(variables.map(({ variable, file }) => [variable, file])),
          `uvicorn main:app --host 0.0.0.0 --port ${PORT}`,
        ),
        environment: { ...args.environment },
        secrets: [...variables, ...(args.secretFiles ?? [])],
        health: ["CMD", "python3", "-c", HEALTHY],
        runsAs: UID,
        readOnly: true,
        mounts: [{ type: "tmpfs", target: "/tmp" }, ...(args.volumes ?? [])],
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

// The images hold neither curl nor wget. A status other than 2xx raises, and so does a connection that is refused.
const HEALTHY = `import urllib.request as r; r.urlopen("http://127.0.0.1:${PORT}/health", timeout=4)`;
