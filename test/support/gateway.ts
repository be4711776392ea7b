import type { GatewayConfig } from "../../components/gateway-config.ts";

/** What one visitor may ask for, as the settings have it by default. */
export const VISITORS = { requestsPerSecond: 10, burst: 50, connections: 100, silentSeconds: 20 };

/** A gateway's decisions with everything off; a test changes some. */
export function gatewayConfig(change: Partial<GatewayConfig> = {}): GatewayConfig {
  return {
    domain: "technicia.exemple.fr",
    editorCidrs: [],
    openPaths: [],
    visitors: VISITORS,
    uploadMaxMib: 200,
    uploadSeconds: 600,
    answerSeconds: 120,
    hsts: false,
    frontend: false,
    ...change,
  };
}
