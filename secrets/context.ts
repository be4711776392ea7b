import { z } from "zod";

import { WEBHOOK_SECRETS } from "../common/alert-webhooks.ts";
import { optionalServices, type OptionalService } from "../common/services.ts";
import type { SecretsContext } from "./entry.ts";

// `pulumi config set` without `--path` types stores true and false as text.
const toggle = z.union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")]);

/** For settings of the monitoring that cannot be read: all of its secrets count as needed. */
const EVERY_SECRET: SecretsContext["monitoring"] = {
  enabled: true,
  mail: { user: "?" },
  receivers: { slack: true, webhooks: WEBHOOK_SECRETS.map((secret) => ({ secret })) },
  neighbours: ["?"],
  ping: true,
};

/** What settings say about secrets, when they may be wrong or incomplete; their keys have no namespace. */
export function contextIn(settings: Readonly<Record<string, unknown>>): SecretsContext {
  const flag = (name: string, key: string) => z.object({ [name]: z.object({ [key]: toggle }) });
  const services = settings["services"];
  const isOn = (name: string, key: string) => flag(name, key).safeParse(services).data?.[name]?.[key] ?? true;
  const n8n = z.object({ n8n: z.object({ database: z.enum(["sqlite", "postgres"]) }) }).safeParse(services);
  const dns = z.object({ provider: z.enum(["cloudflare", "ovh"]) }).safeParse(settings["dns"]);
  const images = z.object({ registryUser: z.string() }).safeParse(settings["images"]);
  const backup = z
    .object({ project: z.string().default(""), bucket: z.object({}).optional() })
    .safeParse(settings["backup"]);
  const monitoring = z
    .object({
      enabled: toggle.default(false),
      mail: z.object({ user: z.string().default("") }).optional(),
      receivers: z
        .object({
          slack: toggle.default(false),
          webhooks: z.array(z.object({ secret: z.string() })).default([]),
        })
        .default({ slack: false, webhooks: [] }),
      neighbours: z.array(z.unknown()).default([]),
      ping: toggle.default(false),
    })
    .safeParse(settings["monitoring"] ?? {});
  const switches = optionalServices.map((name) => [name, { enabled: isOn(name, "enabled") }] as const);
  const optional = Object.fromEntries(switches) as Record<OptionalService, { enabled: boolean }>;
  // A missing or wrong setting counts as the value that needs a secret, so that no needed secret is left out.
  return {
    dns: { provider: dns.data?.provider ?? "cloudflare" },
    services: {
      qdrant: { apiKey: isOn("qdrant", "apiKey") },
      n8n: { database: n8n.data?.n8n.database ?? "postgres" },
      ...optional,
    },
    // Without the setting nobody logs in anywhere.
    builds: { registryUser: images.data?.registryUser ?? "" },
    backup: backup.data ?? { project: "" },
    monitoring: monitoring.data ?? EVERY_SECRET,
    servers: z.array(z.unknown()).safeParse(settings["servers"]).data ?? [],
  };
}
