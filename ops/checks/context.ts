/** What the checks of a stack know and reach. Preflight and verification hand each check only the parts that it uses. */
import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";

import type { Check } from "../../common/check.ts";
import type { UpgradedService } from "../../common/services.ts";
import { scanFile } from "../../common/scan.ts";
import { systemFetch } from "../../common/system-trust.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { Connections } from "../fleet/fleet.ts";
import type { Server } from "../server/connection.ts";
import { failed, type Finding, notChecked, ok, runProbe } from "./probe.ts";

export interface CheckContext {
  readonly stack: string;

  /** The settings as they are now: those of the deployment that follows, or that has just ended. */
  readonly environment: Environment;

  /** Undefined before the first deployment. */
  readonly outputs: StackOutputs | undefined;

  /** Undefined as long as there is no server to log in to. */
  readonly server: Server | undefined;

  /** To the other servers, where there are several; undefined: they are not looked at. */
  readonly connections?: Connections | undefined;

  readonly pulumi: Pulumi;

  /** Secret's name in `secrets/catalog.ts` → value, of those that are set; never printed, never on a command line. */
  readonly secrets: Readonly<Record<string, string>>;

  /** Aborted when the deployment is. */
  readonly signal: AbortSignal;

  /** For a preflight: the database that goes to its next version. */
  readonly upgrades?: UpgradedService | undefined;

  /** For a verification: what was seen before the deployment, or at the last one that was good. */
  readonly earlier?: readonly Check[];
}

/** What the checks reach besides the server and the engine. */
export interface CheckEffects {
  readonly fetch: typeof fetch;
  readonly resolver: Pick<Resolver, "resolve4" | "resolve6">;
  readonly now: () => number;

  /** Text of the record of the stack's last scan; undefined where none was made. */
  readonly readScan: (stack: string) => Promise<string | undefined>;

  /** Environment variables; a CI names its commit there. */
  readonly variables: Readonly<Record<string, string | undefined>>;

  /** Ports of the public address. */
  readonly ports: { readonly http: number; readonly https: number };

  /** Authorities (PEM) of the public certificate; undefined: those that this machine trusts. */
  readonly authorities: string | undefined;

  /** Base URLs on the server's own loopback. */
  readonly loopback: { readonly n8n: string; readonly qdrant: string };
}

export function realEffects(): CheckEffects {
  return {
    fetch: systemFetch,
    resolver: new Resolver({ timeout: 5000, tries: 2 }),
    now: Date.now,
    readScan: readScanFile,
    variables: process.env,
    ports: { http: 80, https: 443 },
    authorities: undefined,
    loopback: { n8n: "http://127.0.0.1:5678", qdrant: "http://127.0.0.1:6333" },
  };
}

/** The server; or, in French, why the checks cannot reach it. */
export type ServerAccess =
  { readonly server: Server } | { readonly server: undefined; readonly obstacle: string };

const LIMIT_SECONDS = 30;
const NO_SERVER = "pas de serveur où se connecter";

/** Logs in before any other check, so that an unreachable server is one failure and not twenty. */
export async function openAccess(
  context: CheckContext,
  id: string,
): Promise<{ readonly check: Check; readonly access: ServerAccess }> {
  const { server, outputs } = context;
  const check = await runProbe(
    {
      id,
      title: "Serveur joignable par ssh",
      limitSeconds: LIMIT_SECONDS + 5,
      async find() {
        if (!server)
          return outputs ? failed("pas de connexion au serveur qui est déployé") : notChecked(NO_SERVER);
        await server.run({ purpose: "say hello", script: "true", timeoutSeconds: LIMIT_SECONDS });
        return ok(server.name);
      },
    },
    context,
  );
  if (server && check.outcome === "ok") return { check, access: { server } };
  const obstacle = server ? "le serveur n'est pas joignable par ssh" : NO_SERVER;
  return { check, access: { server: undefined, obstacle } };
}

export async function askServer(
  access: ServerAccess,
  look: (server: Server) => Finding | Promise<Finding>,
): Promise<Finding> {
  return access.server ? look(access.server) : notChecked(access.obstacle);
}

/** Text of a stack's record; undefined where none was made. */
async function readScanFile(stack: string): Promise<string | undefined> {
  return await readFile(scanFile(stack), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}
