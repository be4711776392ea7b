/** How one delivered server is started. */
export interface ServerRun {
  readonly name: string;
  readonly image: string;
  readonly hostname: string;

  /** Docker network of the datacentre. */
  readonly network: string;
  readonly ip: string;
  readonly ip6: string;

  /** Volume under /var/lib/docker: overlay2 does not stack on the container's own overlay. */
  readonly volume: string;

  /** Default routes, set at every boot. @default those of the Docker network */
  readonly gateway?: string;
  readonly gateway6?: string;

  /** Resolvers for /etc/resolv.conf. @default none, the server resolves nothing */
  readonly dns?: readonly string[];

  /** Public key of the login user, whom cloud-init creates. @default none, nobody can log in */
  readonly authorizedKey?: string;

  /** Certificate authorities (PEM) that the delivered system trusts besides its own. */
  readonly certificates?: string;

  /** Whether programs may make network devices of their own. @default false */
  readonly hasTun?: boolean;

  /** Seconds for which the updates of the first boot hold dpkg's lock. @default none are installed then */
  readonly upgradeSeconds?: number;
}

const LABEL = "technicia.rehearsal=1";

/**
 * Arguments after `docker` that start the server in the background.
 *
 * `docker restart --time 30 <name>` is its reboot; `docker rm --force --volumes <name>` with the volume removed is
 * its loss. A container of another name from the same image is another server, with host keys of its own.
 */
export function serverRunArgs(run: ServerRun): string[] {
  return [
    ...["run", "--detach", "--name", run.name, "--hostname", run.hostname, "--label", LABEL],
    ...["--network", run.network, "--ip", run.ip, "--ip6", run.ip6],
    // Not --privileged: it asks for SYS_RESOURCE, which an unprivileged machine cannot give; and the clock is not ours.
    ...["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cap-drop", "SYS_TIME"],
    ...["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
    ...["--security-opt", "systempaths=unconfined"],
    ...["--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
    ...["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"],
    ...["--volume", `${run.volume}:/var/lib/docker`],
    // `reboot` typed on the server ends the container; this starts it again. `docker stop` still stops it.
    ...["--restart", "unless-stopped"],
    ...(run.hasTun === true ? ["--device", "/dev/net/tun"] : []),
    ...environmentArgs(run),
    run.image,
  ];
}

function environmentArgs(run: ServerRun): string[] {
  const values: Record<string, string | undefined> = {
    container: "docker",
    DELIVERY_GATEWAY: run.gateway,
    DELIVERY_GATEWAY6: run.gateway6,
    DELIVERY_DNS: run.dns?.join(" "),
    DELIVERY_AUTHORIZED_KEY: run.authorizedKey,
    DELIVERY_UPGRADE_SECONDS: run.upgradeSeconds?.toString(),
    // An environment file of PID 1 holds no line breaks.
    DELIVERY_CERTIFICATES: run.certificates && Buffer.from(run.certificates).toString("base64"),
  };
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : ["--env", `${name}=${value}`],
  );
}
