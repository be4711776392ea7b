/** Rules about the list of servers. What they refuse would cost money first, and fail later. */
import { enabledServices } from "../common/services.ts";
import { DATA_LABELS, placeOf, type ServerLabel, votes } from "../common/servers.ts";
import { tunnelAddress } from "./servers.ts";
import { has, type Judged, type Problem } from "./setting-rule.ts";

export const serverRules: readonly ((judged: Judged) => Problem[])[] = [
  oneServer,
  eachHasSource,
  eachIsAnother,
  votersSurvive,
  oneWitness,
  oneRegion,
  oneRelease,
  witnessRests,
  dataHasOneServer,
  dataIsTogether,
  visitorsArrive,
  addressesDiffer,
];

function oneServer({ given, sections: { servers }, commands }: Judged): Problem[] {
  if (servers === undefined) return [];
  const [hasName, hasOrder] = [has(given, "server", "serviceName"), has(given, "server", "order")];
  if (servers.length > 0) {
    const path = ["server", hasName ? "serviceName" : "order"];
    const text = `expected nothing, because servers is a list of all servers, got a value; move it into the list, and remove it here with ${commands.remove(path)}`;
    return hasName || hasOrder ? [{ path, text }] : [];
  }
  if (hasName !== hasOrder) return [];
  const name = commands.set(["server", "serviceName"]);
  const country = commands.set(["server", "order", "subsidiary"], "FR");
  const price = commands.set(["server", "order", "maxMonthlyPriceEur"]);
  const remedy = hasName
    ? `remove one, for example with ${commands.remove(["server", "order"])}`
    : `name your server with ${name}, or order one with ${country} and ${price}`;
  const found = hasName ? "both" : "neither";
  const text = `expected either serviceName (a server you have) or order (a server to buy), got ${found}; ${remedy}`;
  return [{ path: ["server"], text }];
}

function eachHasSource({ sections: { servers = [] }, commands }: Judged): Problem[] {
  return servers.flatMap(({ serviceName, order }, index): Problem[] => {
    if ((serviceName === undefined) !== (order === undefined)) return [];
    const path = ["servers", index];
    const remedy =
      order === undefined
        ? `name your server with ${commands.set([...path, "serviceName"])}, or order one with ${commands.set([...path, "order", "subsidiary"], "FR")} and ${commands.set([...path, "order", "maxMonthlyPriceEur"])}`
        : `remove one, for example with ${commands.remove([...path, "order"])}`;
    const found = order === undefined ? "neither" : "both";
    const text = `expected either serviceName (a server you have) or order (a server to buy), got ${found}; ${remedy}`;
    return [{ path, text }];
  });
}

function eachIsAnother({ sections: { servers = [] }, commands }: Judged): Problem[] {
  return servers.flatMap((server, index) =>
    (["name", "serviceName"] as const)
      .filter((key) => {
        const value = server[key];
        return value !== undefined && servers.findIndex((other) => other[key] === value) < index;
      })
      .map((key) => {
        const path = ["servers", index, key];
        const text = `expected another server than those before it, got "${server[key]}" again; set it with ${commands.set(path)}, or remove the entry with ${commands.remove(["servers", index])}`;
        return { path, text };
      }),
  );
}

/** More voters make each decision slower, and survive losses that nobody has at once. */
const MOST_VOTERS = 5;

function votersSurvive({ sections: { servers = [] } }: Judged): Problem[] {
  if (servers.length === 0) return [];
  const path = ["servers"];
  const managers = servers.filter(({ role }) => role === "manager").length;
  if (managers === 0) {
    const text =
      "expected at least one server with the role manager, got none; give the role to the first, because a Swarm without one cannot be changed";
    return [{ path, text }];
  }
  const voters = servers.filter(({ role }) => votes(role)).length;
  if (voters % 2 === 1 && voters <= MOST_VOTERS) return [];
  const why =
    voters > MOST_VOTERS
      ? "more of them only make each decision slower"
      : `more than half of them must agree, so ${voters} survive no more losses than ${voters - 1}, and are lost more often`;
  const remedy =
    voters === 2
      ? "make one of them a worker, or add a small server with the role witness"
      : `make ${voters > MOST_VOTERS ? `all but ${MOST_VOTERS}` : "one"} of them a worker`;
  const text = `expected 1, 3 or 5 servers that vote (manager and witness), got ${voters}; ${why}; ${remedy}`;
  return [{ path, text }];
}

function oneWitness({ sections: { servers = [] }, commands }: Judged): Problem[] {
  const witnesses = servers.flatMap(({ role }, index) => (role === "witness" ? [index] : []));
  return witnesses.slice(1).map((index) => {
    const path = ["servers", index, "role"];
    const text = `expected at most one witness, got another; it runs nothing, so set it with ${commands.set(path, "manager")}, or remove the entry with ${commands.remove(["servers", index])}`;
    return { path, text };
  });
}

function oneRegion({ sections: { server, servers = [] }, commands }: Judged): Problem[] {
  if (!server) return [];
  const regionOf = (datacentre: string) => datacentre.split("-")[0];
  return servers.flatMap(({ role, datacentre }, index): Problem[] => {
    if (role === "witness" || datacentre === undefined) return [];
    if (regionOf(datacentre) === regionOf(server.datacentre)) return [];
    const path = ["servers", index, "datacentre"];
    const text = `expected the region of the others (server.datacentre "${server.datacentre}"), because services on different servers wait for each other, got "${datacentre}"; remove it with ${commands.remove(path)}, or make it the witness`;
    return [{ path, text }];
  });
}

function oneRelease({ sections: { server, servers = [] }, commands }: Judged): Problem[] {
  if (!server) return [];
  return servers.flatMap(({ image }, index): Problem[] => {
    if (image === undefined || image === server.image) return [];
    const path = ["servers", index, "image"];
    const text = `expected the release of the others (server.image "${server.image}"), because their Dockers and their programs differ, got "${image}"; remove it with ${commands.remove(path)}`;
    return [{ path, text }];
  });
}

function witnessRests({ sections: { servers = [] }, commands }: Judged): Problem[] {
  return servers.flatMap(({ role, labels }, index): Problem[] => {
    if (role !== "witness" || labels.length === 0) return [];
    const path = ["servers", index, "labels"];
    const what = labels.includes("gateway")
      ? "no visitors, because a witness only votes"
      : "no data, because a witness only votes";
    const text = `expected ${what}, got ${labels.join(", ")}; remove them with ${commands.remove(path)}, or set ${commands.set(["servers", index, "role"], "worker")}`;
    return [{ path, text }];
  });
}

/** Labels of data that this environment has. */
function dataLabels({ sections: { services, monitoring } }: Judged): ServerLabel[] {
  if (!services) return [];
  const enabled = enabledServices({ services, monitoring: monitoring ?? { enabled: false } });
  const places = enabled.map((service) => placeOf(service, { documents: { enabled: true } }));
  return DATA_LABELS.filter((label) => places.includes(label));
}

function dataHasOneServer(judged: Judged): Problem[] {
  const { servers = [] } = judged.sections;
  if (servers.length < 2) return [];
  const missing = dataLabels(judged).filter((label) => !servers.some(({ labels }) => labels.includes(label)));
  const twice = DATA_LABELS.flatMap((label) =>
    servers.flatMap(({ labels }, index) => (labels.includes(label) ? [{ label, index }] : [])).slice(1),
  );
  return [
    ...missing.map((label) => ({
      path: ["servers"],
      text: `expected a server with the label ${label}, where its data is, got none; add it with ${judged.commands.set(["servers", 0, "labels", servers[0]!.labels.length], label)}`,
    })),
    ...twice.map(({ label, index }) => ({
      path: ["servers", index, "labels"],
      text: `expected ${label} on one server, because its data is on one disk, got it again; remove it with ${judged.commands.remove(["servers", index, "labels", servers[index]!.labels.indexOf(label)])}`,
    })),
  ];
}

/** A set of backups takes all data from one server; its programs and those of the documents read it there. */
function dataIsTogether(judged: Judged): Problem[] {
  const { servers = [] } = judged.sections;
  if (servers.length < 2) return [];
  const home = servers.findIndex(({ labels }) => labels.includes("n8n"));
  if (home < 0) return [];
  const apart = servers.flatMap(({ labels }, index): Problem[] => {
    const data = DATA_LABELS.filter((label) => labels.includes(label));
    if (index === home || data.length === 0) return [];
    const text = `expected the data on one server (servers[${home}] has n8n), because a set of backups takes all of it there, got ${data.join(", ")}; move ${data.length === 1 ? "the label" : "the labels"} there`;
    return [{ path: ["servers", index, "labels"], text }];
  });
  if (servers[home]!.role === "manager" || servers[home]!.role === "witness") return apart;
  const path = ["servers", home, "role"];
  const text = `expected manager, because the programs beside the data stop and start services, got "${servers[home]!.role}"; set it with ${judged.commands.set(path, "manager")}, or move the labels to a manager`;
  return [...apart, { path, text }];
}

function visitorsArrive({ sections: { servers = [] }, commands }: Judged): Problem[] {
  if (servers.length < 2 || servers.some(({ labels }) => labels.includes("gateway"))) return [];
  const add = commands.set(["servers", 0, "labels", servers[0]!.labels.length], "gateway");
  const text = `expected a server with the label gateway, where visitors arrive, got none; add it with ${add}`;
  return [{ path: ["servers"], text }];
}

function addressesDiffer({ sections: { servers = [], wireguard }, commands }: Judged): Problem[] {
  if (!wireguard || servers.length < 2) return [];
  const addresses = servers.map(({ name }) => tunnelAddress(wireguard, name));
  return servers.flatMap(({ name }, index): Problem[] => {
    const before = servers[addresses.indexOf(addresses[index]!)]!;
    if (before.name === name) return [];
    const path = ["servers", index, "name"];
    const text = `expected another name, because "${name}" and "${before.name}" have the same address ${addresses[index]} in wireguard.cidr, got "${name}"; set it with ${commands.set(path)}`;
    return [{ path, text }];
  });
}
