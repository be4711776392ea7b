import { stringify } from "yaml";

import type { MonitoringFacts } from "./facts.ts";
import { HEADER } from "./rules/rule.ts";

/** Names of the blackbox exporter's modules, as the scrapes ask for them. */
export type ProbeModule = "inside" | "port" | "public" | "neighbour" | "neighbour_untrusted";

/** A probe is over before the next one begins. */
const TIMEOUT = "5s";

const http = (options: object) => ({
  prober: "http",
  timeout: TIMEOUT,
  http: {
    method: "GET",
    // The networks of the containers have no IPv6.
    preferred_ip_protocol: "ip4",
    follow_redirects: false,
    ...options,
  },
});

/** Over HTTPS only; the authority of an environment for tests is known to nobody. */
const https = (isTrusted: boolean) =>
  http({ fail_if_not_ssl: true, ...(isTrusted ? {} : { tls_config: { insecure_skip_verify: true } }) });

/** The blackbox exporter's configuration: an answer with a status from 200 to 299 in time is a success. */
export function renderProbes({ trusted }: MonitoringFacts): string {
  const modules: Readonly<Record<ProbeModule, object>> = {
    inside: http({}),
    port: { prober: "tcp", timeout: TIMEOUT, tcp: { preferred_ip_protocol: "ip4" } },
    public: https(trusted),
    neighbour: https(true),
    neighbour_untrusted: https(false),
  };
  return HEADER + stringify({ modules }, { lineWidth: 0 });
}
