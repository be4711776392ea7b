/** Rules about what runs in containers: ports, images, limits, and the order of an update. */
import { DOCUMENTS } from "../../common/documents.ts";
import { isExact } from "../../common/image-reference.ts";
import { swarmName } from "../../common/services.ts";
import { sshPorts } from "../../infra/login-guard.ts";
import { serversInTunnel } from "../servers.ts";
import { at, isUnknown, listAt, numberAt, textAt, type Facts, type Resource, type Rule } from "./rule.ts";

const SERVICE = "docker:index/service:Service";
const CONTAINER = "docker:index/container:Container";
const IMAGE = "technicia:host:Image";

/** Ports that visitors use. */
const PUBLIC_PORTS = [80, 443];
const LOOPBACK = ["127.0.0.1", "::1"];

const IMAGE_PATHS: Readonly<Record<string, string>> = {
  [SERVICE]: "taskSpec.containerSpec.image",
  [CONTAINER]: "image",
  [IMAGE]: "name",
};

const MEMORY_PATHS: Readonly<Record<string, string>> = {
  [SERVICE]: "taskSpec.resources.limits.memoryBytes",
  [CONTAINER]: "memory",
};

const MIB_BYTES = 1024 * 1024;

export const serviceRules: readonly Rule[] = [
  {
    name: "published-ports",
    description:
      "Only the gateway is published, with ports 80 and 443, and to other servers the tunnel; other ports stay on the loopback or in the tunnel.",
    level: "mandatory",
    judge: (resource, facts) => [
      ...servicePorts(resource),
      ...containerPorts(resource, facts),
      ...edgePorts(resource, facts),
    ],
  },
  {
    name: "exact-images",
    description: "Every image is named by a complete version or a digest.",
    level: "mandatory",
    judge: ({ type, inputs }) => {
      const path = IMAGE_PATHS[type];
      if (path === undefined || isUnknown(at(inputs, path))) return [];
      return isExact(textAt(inputs, path) ?? "")
        ? []
        : [`${path}: expected an image with a complete version or a digest; write one into images`];
    },
  },
  {
    name: "memory-limits",
    description: "Every container has a memory limit.",
    level: "mandatory",
    judge: ({ type, inputs }) => {
      const path = MEMORY_PATHS[type];
      if (path === undefined || isUnknown(at(inputs, path))) return [];
      const limit = at(inputs, path);
      return typeof limit === "number" && limit > 0
        ? []
        : [`${path}: expected a memory limit; pass limits.memoryMib from services or monitoring`];
    },
  },
  {
    name: "data-stops-first",
    description: "A service that writes the data of a volume stops before its successor starts.",
    level: "mandatory",
    judge: (resource) => {
      const { type, inputs } = resource;
      if (type !== SERVICE || !writesVolume(resource)) return [];
      return ["updateConfig.order", "rollbackConfig.order"].flatMap((path) =>
        isUnknown(at(inputs, path)) || at(inputs, path) === "stop-first"
          ? []
          : [`${path}: expected "stop-first", because two tasks would write the same data; set ownsData`],
      );
    },
  },
  {
    name: "sizes",
    description: "One service takes at most half of the server's memory, and no more cores than it has.",
    level: "advisory",
    judge: sizes,
  },
];

function servicePorts({ type, inputs }: Resource): string[] {
  if (type !== SERVICE) return [];
  const isGateway = textAt(inputs, "name") === swarmName("gateway");
  return listAt(inputs, "endpointSpec.ports").flatMap((port, index) => {
    const published = at(port, "publishedPort");
    if (isUnknown(published) || (isGateway && PUBLIC_PORTS.includes(numberAt(port, "publishedPort"))))
      return [];
    const path = `endpointSpec.ports[${index}].publishedPort`;
    return [
      `${path}: expected 80 or 443 of the gateway alone; let the gateway pass requests on (components/gateway.ts)`,
    ];
  });
}

function containerPorts({ type, inputs }: Resource, { environment }: Facts): string[] {
  if (type !== CONTAINER) return [];
  const inTunnel =
    environment === undefined ? [] : serversInTunnel(environment).map(({ address }) => address);
  return listAt(inputs, "ports").flatMap((port, index) => {
    const ip = at(port, "ip");
    if (isUnknown(ip) || [...LOOPBACK, ...inTunnel].includes(String(ip))) return [];
    return [`ports[${index}].ip: expected 127.0.0.1, because the default is every address; set it`];
  });
}

/** Who may reach ssh is a rule of its own. */
function edgePorts({ type, inputs }: Resource, { environment }: Facts): string[] {
  if (type !== "technicia:ovh:EdgeFirewall" || environment === undefined) return [];
  const open = [...PUBLIC_PORTS, ...sshPorts(environment.ssh)];
  return listAt(inputs, "rules").flatMap((rule, index) => {
    if (at(rule, "action") !== "permit" || isReply(rule)) return [];
    if (isUnknown(at(rule, "port")) || open.includes(numberAt(rule, "port"))) return [];
    if (isTunnel(rule, environment)) return [];
    return [`rules[${index}].port: expected 80, 443 or a port of ssh; close every other port`];
  });
}

/** The tunnel between several servers, to one address each. */
function isTunnel(rule: unknown, { servers, wireguard }: NonNullable<Facts["environment"]>): boolean {
  const source = at(rule, "source");
  return (
    servers.length > 1 &&
    at(rule, "protocol") === "udp" &&
    numberAt(rule, "port") === wireguard.port &&
    (isUnknown(source) || String(source).endsWith("/32"))
  );
}

/** Packets that answer the server, and ICMP, which has no ports. */
function isReply(rule: unknown): boolean {
  return (
    at(rule, "protocol") === "icmp" ||
    at(rule, "tcpOption") === "established" ||
    (at(rule, "protocol") === "udp" && at(rule, "sourcePort") !== undefined)
  );
}

/** Files there have names of their own: two tasks at once write none of the same. */
const SHARED: readonly unknown[] = [DOCUMENTS.volume];

function writesVolume({ inputs }: Resource): boolean {
  return listAt(inputs, "taskSpec.containerSpec.mounts").some(
    (mount) =>
      at(mount, "type") === "volume" &&
      at(mount, "readOnly") !== true &&
      !SHARED.includes(at(mount, "source")),
  );
}

function sizes({ type, inputs }: Resource, { environment }: Facts): string[] {
  if (type !== SERVICE || environment === undefined) return [];
  const { memoryGib, vcores } = environment.server;
  const limits = "taskSpec.resources.limits";
  const memoryBytes = numberAt(inputs, `${limits}.memoryBytes`);
  const cores = numberAt(inputs, `${limits}.nanoCpus`) / 1e9;
  return [
    ...(memoryBytes > (memoryGib * 1024 * MIB_BYTES) / 2
      ? [
          `${limits}.memoryBytes: expected at most half of the server's memory; lower the limit of the service`,
        ]
      : []),
    ...(cores > vcores
      ? [`${limits}.nanoCpus: expected at most the server's cores; lower the limit of the service`]
      : []),
  ];
}
