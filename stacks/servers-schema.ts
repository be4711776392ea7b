/** The settings of an environment that has its servers in a list, and of the tunnel between them. */
import { z } from "zod";

import { SERVER_LABELS, SERVER_ROLES } from "../common/servers.ts";
import { tunnelRangeProblem } from "./address-range.ts";
import {
  choice,
  integer,
  isSupportedImage,
  list,
  map,
  number,
  optionalMap,
  text,
  whole,
} from "./setting-types.ts";

/** Countries whose OVHcloud catalogue is in euros, the currency of `maxMonthlyPriceEur`. */
const EURO_SUBSIDIARIES = ["DE", "ES", "FI", "FR", "IE", "IT", "LT", "NL", "PT"] as const;

export const serverName = text(
  "expected the name OVHcloud gave the server, such as vps-1a2b3c4d.vps.ovh.net",
  /^vps[0-9a-z-]*\.(?:[a-z0-9-]+\.)*ovh\.[a-z]+$/,
);

export const serverOrder = optionalMap({
  subsidiary: choice(EURO_SUBSIDIARIES).meta({
    description: "Country whose catalogue and prices apply.",
    example: "FR",
  }),
  maxMonthlyPriceEur: number("expected a number above 0", (price) => price > 0).meta({
    description: "Highest price that you accept, in euros a month without tax.",
    example: 15,
  }),
  again: serverName
    .meta({
      description:
        "Name of an ordered server that is gone for good. Only with it another one is ordered in its place.",
      example: "vps-1a2b3c4d.vps.ovh.net",
    })
    .optional(),
})
  .meta({
    description: "A server to order when there is none yet.",
    example: { subsidiary: "FR", maxMonthlyPriceEur: 15 },
  })
  .optional();

export const datacentre = text(
  "expected a datacentre code of the VPS range, such as GRA (GRA11 is a Public Cloud region)",
  /^[A-Z]{2,4}(-[A-Z]+)*$/,
);

export const osImage = text(
  "expected Debian 11 or later, or Ubuntu 22.04 or later, as OVHcloud names it, such as Ubuntu 22.04",
  isSupportedImage,
);

export const vcores = whole("cores", { least: 1, most: 64 });
export const memoryGib = whole("GiB", { least: 1, most: 512 });
export const diskGib = whole("GiB", { least: 20, most: 10_000 });

const server = optionalMap({
  name: text(
    "expected a name of at most 16 lower-case letters, digits and hyphens, such as gra-1",
    /^[a-z](?:[a-z0-9-]{0,14}[a-z0-9])?$/,
  ).meta({ description: "Name of the server, in its resources and in every message.", example: "gra-1" }),
  role: choice(SERVER_ROLES).meta({
    description:
      "`manager` runs services and votes on what the Swarm does, `worker` only runs services, `witness` only votes. One, three or five vote.",
    example: "manager",
  }),
  serviceName: serverName
    .meta({
      description: "Name of a server that you have. Give either this or `order`.",
      example: "vps-1a2b3c4d.vps.ovh.net",
    })
    .optional(),
  order: serverOrder,
  labels: list(choice(SERVER_LABELS))
    .default([])
    .meta({
      description:
        "What it is for: `gateway` takes visitors, the others keep data. With one server left out: it does everything.",
      example: ["gateway", "qdrant", "n8n", "postgres", "monitoring"],
    }),
  vcores: vcores.meta({ description: "Left out, `server.vcores`.", example: 1 }).optional(),
  memoryGib: memoryGib.meta({ description: "Left out, `server.memoryGib`.", example: 2 }).optional(),
  diskGib: diskGib.meta({ description: "Left out, `server.diskGib`.", example: 40 }).optional(),
  datacentre: datacentre
    .meta({
      description: "Left out, `server.datacentre`. Only a witness may be in another region.",
      example: "SBG",
    })
    .optional(),
  image: osImage
    .meta({
      description: "Left out, `server.image`. All servers have the same release.",
      example: "Debian 12",
    })
    .optional(),
});

export const servers = list(server)
  .default([])
  .meta({
    description:
      "The servers, instead of `server.serviceName` or `server.order`; the rest of `server` holds for all of them. The first one has the names of an only server. docs/servers.md says what each shape survives.",
    example: [
      {
        name: "gra-1",
        role: "manager",
        serviceName: "vps-1a2b3c4d.vps.ovh.net",
        labels: ["gateway", "qdrant", "n8n", "postgres", "monitoring"],
      },
    ],
    affects: "server, every service",
  });

export const wireguard = map({
  cidr: z
    .string({ error: "expected a private IPv4 range such as 10.86.0.0/16" })
    .superRefine((value, context) => {
      const problem = tunnelRangeProblem(value);
      if (problem !== undefined) context.addIssue({ code: "custom", message: problem, input: value });
    })
    .default("10.86.0.0/16")
    .meta({
      description: "Addresses of the servers in the tunnel; each server's follows from its name.",
      example: "10.86.0.0/16",
    }),
  port: integer("expected a port from 1024 to 65535", { least: 1024, most: 65_535 })
    .prefault(51_820)
    .meta({ description: "UDP port of the tunnel, open between the servers alone.", example: 51_820 }),
}).meta({
  description: "The tunnel between several servers; one server has none.",
  affects: "server, edge firewall, host firewall",
});

export type ServerSettings = z.output<typeof server>;
