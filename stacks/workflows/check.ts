/** What can be known about workflows without a server: every problem at once. */
import type { Problem } from "./problem.ts";
import {
  declaredCredentials,
  errorWorkflow,
  keptFiles,
  knownConnections,
  knownSubWorkflows,
  knownTypes,
  uniqueIds,
} from "./rules/nodes.ts";
import type { Judged, Rule } from "./rules/rule.ts";
import { noEnvironment, nothingInClear, reachableHosts } from "./rules/texts.ts";
import { answers, gatewayRoutes, publicWebhooks, uniqueWebhooks } from "./rules/webhooks.ts";

const RULES: readonly Rule[] = [
  uniqueIds,
  knownTypes,
  knownConnections,
  knownSubWorkflows,
  declaredCredentials,
  errorWorkflow,
  keptFiles,
  reachableHosts,
  nothingInClear,
  noEnvironment,
  uniqueWebhooks,
  publicWebhooks,
  gatewayRoutes,
  answers,
];

export function checkWorkflows(judged: Judged): Problem[] {
  return RULES.flatMap((rule) => rule(judged));
}
