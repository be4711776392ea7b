/** Docker on the operator's machine, which builds and pushes images. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { RegistryLogin } from "../../common/registry.ts";
import { lastLines, lastWords, must, tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

/** Variables that Docker hands to a build without a declaration in the Dockerfile. */
const PROXIES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

interface ImageBuild {
  readonly name: string;
  readonly context: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The setting that names the source, for errors. */
  readonly setting: string;
}

export class LocalDocker {
  readonly #signal: AbortSignal;
  /** Variables of every call. */
  readonly #engine: Readonly<Record<string, string>>;
  /** Folder of a configuration that holds the login, and nothing of the operator's. */
  readonly #config: string;
  readonly #architecture: string;

  private constructor(given: {
    readonly signal: AbortSignal;
    readonly engine: Readonly<Record<string, string>>;
    readonly config: string;
    readonly architecture: string;
  }) {
    this.#signal = given.signal;
    this.#engine = given.engine;
    this.#config = given.config;
    this.#architecture = given.architecture;
  }

  /** The engine that the operator uses. The login is kept in the folder, and goes with it. */
  static async open(folder: string, signal: AbortSignal): Promise<LocalDocker> {
    const missing =
      "docker: expected Docker's client on PATH, got none; install Docker, which builds the images";
    // Another configuration does not know the operator's contexts, so the engine of the present one is named.
    const context = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
    const host = process.env["DOCKER_HOST"] || (await tryRun(context, { signal, missing })).stdout.trim();
    const engine: Record<string, string> = host === "" ? {} : { DOCKER_HOST: host };
    const config = join(folder, "docker");
    await mkdir(config, { mode: 0o700 });
    // With an entry in it, the client keeps a login in this file and not in the desktop's keyring, where it would stay.
    await writeFile(join(config, "config.json"), '{"auths":{"nowhere.invalid":{}}}', { mode: 0o600 });
    const version = ["docker", "version", "--format", "{{.Server.Arch}}"];
    const architecture = (await must(version, { signal, environment: engine })).trim();
    return new LocalDocker({ signal, engine, config, architecture });
  }

  async login({ host, username, password }: RegistryLogin, stack: string): Promise<void> {
    const words = ["docker", "login", "--username", username, "--password-stdin", host];
    const ended = await tryRun(words, { ...this.#withLogin(), input: password });
    if (ended.code === 0) return;
    throw new UserError(
      `registryPassword: ${host} does not let ${username} in: ${lastWords(ended)}; ` +
        `check images.registryUser, and set the password with pulumi config set --secret technicia:registryPassword --stack ${stack}`,
    );
  }

  /** Uses the operator's own configuration, which may name builders. */
  async build({ name, context, labels, setting }: ImageBuild): Promise<void> {
    const words = [
      ...["docker", "build", "--tag", name],
      ...Object.entries(labels).flatMap(([label, value]) => ["--label", `${label}=${value}`]),
      // OVHcloud's servers are of this kind; laptops often are not.
      ...(this.#architecture === "amd64" ? [] : ["--platform", "linux/amd64"]),
      ...PROXIES.filter((proxy) => process.env[proxy] !== undefined).flatMap((proxy) => [
        "--build-arg",
        proxy,
      ]),
      context,
    ];
    const ended = await tryRun(words, { signal: this.#signal, environment: this.#engine });
    this.#signal.throwIfAborted();
    if (ended.code === 0) return;
    throw new UserError(
      `${setting}: its Dockerfile does not build:\n${lastLines(ended)}\nfix it there, and name the new commit`,
    );
  }

  /** Gives the digest. */
  async push(name: string): Promise<string> {
    const ended = await tryRun(["docker", "push", name], this.#withLogin());
    this.#signal.throwIfAborted();
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(ended.stdout)?.[1];
    if (ended.code === 0 && digest !== undefined) return digest;
    throw new UserError(
      `images.registry: expected ${name} to be accepted, got: ${lastWords(ended)}; ` +
        "check the address, images.registryUser and the secret registryPassword",
    );
  }

  #withLogin() {
    return { signal: this.#signal, environment: { ...this.#engine, DOCKER_CONFIG: this.#config } };
  }
}
