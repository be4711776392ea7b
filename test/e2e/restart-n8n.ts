/**
 * Restarts n8n again and again, each time while the gateway holds the requests to it, as a deployment does. Run as the operator:
 * `node test/e2e/restart-n8n.ts <stack> <times>`
 */
import { swarmName } from "../../common/services.ts";
import { until } from "../../common/until.ts";
import { realEffects } from "../../ops/effects.ts";
import { readEnvironment } from "../../ops/engine/settings.ts";
import { Connections } from "../../ops/fleet/fleet.ts";
import { readGateways } from "../../ops/hold/gateways.ts";
import { Hold } from "../../ops/hold/hold.ts";
import { onServer } from "../../ops/on-server.ts";

const [stack = "test", times = "1"] = process.argv.slice(2);
const BACK_SECONDS = 90;

const effects = realEffects(new AbortController());
const environment = await readEnvironment(stack, effects.pulumi);
await Connections.during(effects, (connections) =>
  onServer(stack, effects, async (server) => {
    const { pulumi } = effects;
    const gateways = () => readGateways({ server, environment, connections, pulumi });
    for (let time = 1; time <= Number(times); time++) {
      const hold = new Hold({ ...effects, server, environment, gateways });
      await hold.prepare();
      await hold.begin();
      try {
        await server.run({
          purpose: "restart n8n",
          script: 'docker service update --detach --force "$SERVICE" >/dev/null',
          variables: { SERVICE: swarmName("n8n") },
        });
        await until(() => hold.hasEnded({ stillSeconds: BACK_SECONDS }), {
          limit: BACK_SECONDS * 1000,
          every: 500,
          late: () => new Error(`n8n was not back after ${BACK_SECONDS} s, the ${time}th time`),
        });
      } finally {
        await hold.end();
      }
    }
  }),
);
