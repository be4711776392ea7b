import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { createDataVolume, Service, type CommonServiceArgs } from "./service.ts";

/** What an environment decides about n8n's database server. */
export interface PostgresArgs extends CommonServiceArgs {
  readonly network: docker.Network;
  readonly password: pulumi.Input<string>;

  /** Whether `pulumi destroy` must leave the stored data alone. */
  readonly protectData: boolean;
}

/** PostgreSQL with one database, `n8n`, owned by the user of that name. */
export class Postgres extends pulumi.ComponentResource {
  readonly service: Service;

  constructor(name: string, args: PostgresArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Postgres", name, {}, opts);

    const volume = createDataVolume(`${name}-data`, args, { parent: this });
    this.service = new Service(
      name,
      {
        ...args,
        networks: [{ network: args.network, aliases: ["postgres"] }],
        environment: {
          POSTGRES_DB: "n8n",
          POSTGRES_USER: "n8n",
          POSTGRES_PASSWORD_FILE: "/run/secrets/postgres_password",
          PGDATA: "/var/lib/postgresql/data/pgdata",
        },
        // Read when the data is set up, and never again: `createPostgresPassword` changes it.
        secrets: [{ file: "postgres_password", value: args.password, isForSetUp: true }],
        mounts: [{ type: "volume", source: volume.name, target: "/var/lib/postgresql/data" }],
        health: ["CMD-SHELL", "pg_isready --quiet --username n8n --dbname n8n --host 127.0.0.1"],
        startPeriod: "1m",
        // The entrypoint starts as root to own the data directory, then becomes the user postgres.
        capabilities: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
        ownsData: true,
        stopGracePeriod: "1m",
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
