/**
 * The policy pack: Pulumi's engine starts it for every preview and update with `--policy-pack stacks/policy`, and asks it about each resource.
 *
 * It has no access to the state or the server. It knows the stack's settings, which the engine gives it as it gives them to the program.
 */
import "../../common/startup/compile-cache.ts";
import "../../common/startup/lean-sdk.ts";
import { flushCompileCache } from "node:module";
import process from "node:process";

import { PolicyPack, type Policies, type ReportViolation } from "@pulumi/policy";
import * as pulumi from "@pulumi/pulumi";

import { UserError } from "../../common/user-error.ts";
import { NAMESPACE, ROTATION, secretNames, type SecretName } from "../../secrets/catalog.ts";
import { parseRotation } from "../../secrets/rotation.ts";
import type { Environment } from "../environment.ts";
import { parseSettings, settingsIn } from "../settings.ts";
import { keepRequests } from "./requests.ts";
import type { Facts, Level, Resource, Rule } from "./rule.ts";
import { RULES, violations, type Violation } from "./rules.ts";

const PARENT_CHECK_MILLISECONDS = 2_000;

const requests = keepRequests();
const facts = readFacts();

new PolicyPack("technicia", { policies: RULES.flatMap(policiesOf) });
endWithParent();
// The engine kills the pack, and Node.js writes this cache only at a normal exit.
flushCompileCache();

/** A policy has one level, and a rule with an exception has two. */
function policiesOf(rule: Rule): Policies {
  const levels: Level[] = rule.exceptedAs === undefined ? [rule.level] : [rule.level, "advisory"];
  return levels.flatMap((enforcementLevel, index) => {
    const end = index === 0 ? "" : "-excepted";
    const about = { description: rule.description, enforcementLevel };
    const reportTo = (report: ReportViolation) => (found: readonly Violation[]) => {
      for (const { level, text } of found) if (level === enforcementLevel) report(text);
    };
    return [
      ...(rule.judge === undefined
        ? []
        : [
            {
              ...about,
              name: `${rule.name}${end}`,
              validateResource: ({ urn }: { readonly urn: string }, report: ReportViolation) => {
                const resource = requests.get(urn);
                if (resource !== undefined) reportTo(report)(violations(rule, resource, facts));
              },
            },
          ]),
      ...(rule.judgeAll === undefined
        ? []
        : [
            {
              ...about,
              name: `${rule.name}-in-program${end}`,
              validateStack: (
                { resources }: { readonly resources: readonly Known[] },
                report: ReportViolation,
              ) => {
                const all = resources.map((known) => requests.get(known.urn) ?? unasked(known));
                reportTo(report)(violations(rule, all, facts));
              },
            },
          ]),
    ];
  });
}

interface Known {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
}

/** A resource that the program did not declare in this run, and that stays as it is. */
function unasked({ urn, type, name }: Known): Resource {
  return { urn, type, name, inputs: {}, protect: false, deleteBeforeReplace: false };
}

function readFacts(): Facts {
  const configuration = pulumi.runtime.allConfig();
  if (Object.keys(configuration).length === 0) {
    throw new UserError(
      "stacks/policy: the engine gave no settings; use the version of the Pulumi CLI that package.json names",
    );
  }
  return {
    environment: readEnvironment(configuration),
    secrets: secretNames.flatMap((name) =>
      [configuration[`${NAMESPACE}:${name}`], nextOf(name, configuration)].flatMap((value) =>
        value === undefined || value === "" ? [] : [[name, value] as const],
      ),
    ),
    now: new Date(),
  };
}

/** The value that follows in a rotation. */
function nextOf(name: SecretName, configuration: Readonly<Record<string, string>>): string | undefined {
  try {
    return parseRotation(configuration[`${NAMESPACE}:${ROTATION}`])?.values[name];
  } catch (error) {
    // The program throws the same.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function readEnvironment(configuration: Record<string, string>): Environment | undefined {
  try {
    return parseSettings(pulumi.getStack(), settingsIn(configuration));
  } catch (error) {
    // The program throws the same and names every problem.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** An engine that was killed ends nothing that it started. */
function endWithParent(): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit();
  }, PARENT_CHECK_MILLISECONDS).unref();
}
