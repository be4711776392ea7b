/** A container to be created through the Engine API. */
export interface ContainerRequest {
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * Turns the arguments of `docker run` into what the Engine API wants, where there is no docker command.
 *
 * An option that is not known here is refused: one silently dropped would start another container than asked.
 */
export function readRunArgs(args: readonly string[]): ContainerRequest {
  const options = new Map<string, string[]>();
  let at = args[0] === "run" ? 1 : 0;
  for (; args[at]?.startsWith("--"); at += 1) {
    const option = args[at] ?? "";
    if (option === "--detach") continue;
    at += 1;
    options.set(option, [...(options.get(option) ?? []), args[at] ?? ""]);
  }
  const [image, ...command] = args.slice(at);
  const take = (option: string): string[] => {
    const values = options.get(option) ?? [];
    options.delete(option);
    return values;
  };

  const [name = ""] = take("--name");
  const [network = "default"] = take("--network");
  const [ipv4] = take("--ip");
  const [ipv6] = take("--ip6");
  const securityOpt = take("--security-opt");
  const isUnmasked = securityOpt.includes("systempaths=unconfined");
  const body = {
    Image: image,
    ...(command.length > 0 && { Cmd: command }),
    Hostname: take("--hostname")[0] ?? "",
    Env: take("--env"),
    Labels: Object.fromEntries(take("--label").map((text) => keyAndValue(text))),
    HostConfig: {
      NetworkMode: network,
      CapAdd: take("--cap-add"),
      CapDrop: take("--cap-drop"),
      // The docker command sends these path lists itself; the engine does not know the option.
      SecurityOpt: securityOpt.filter((option) => option !== "systempaths=unconfined"),
      ...(isUnmasked && { MaskedPaths: [], ReadonlyPaths: [] }),
      CgroupnsMode: take("--cgroupns")[0] ?? "",
      Binds: take("--volume"),
      Devices: take("--device").map((path) => ({
        ...{ PathOnHost: path, PathInContainer: path, CgroupPermissions: "rwm" },
      })),
      Tmpfs: Object.fromEntries(take("--tmpfs").map((mount) => keyAndValue(mount, ":"))),
      RestartPolicy: { Name: take("--restart")[0] ?? "" },
      Sysctls: Object.fromEntries(take("--sysctl").map((text) => keyAndValue(text))),
    },
    NetworkingConfig: {
      EndpointsConfig: {
        [network]: { IPAMConfig: { ...(ipv4 && { IPv4Address: ipv4 }), ...(ipv6 && { IPv6Address: ipv6 }) } },
      },
    },
  };
  const [unknown] = options.keys();
  if (unknown !== undefined) throw new Error(`docker run: expected a known option, got "${unknown}"`);
  return { name, body };
}

function keyAndValue(text: string, separator = "="): [string, string] {
  const [key = "", ...value] = text.split(separator);
  return [key, value.join(separator)];
}
