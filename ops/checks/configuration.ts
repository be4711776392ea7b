import { entryOf, isSecretName, requiredSecrets, type SecretName } from "../../secrets/catalog.ts";
import { weaknessOf } from "../../secrets/weakness.ts";
import type { CheckContext } from "./context.ts";
import { failed, notChecked, ok, type Probe } from "./finding.ts";

/** The settings were read and hold together, or there would be no environment; what is left are the secrets and the target. */
export function configurationProbe(context: CheckContext): Probe {
  return {
    id: "configuration",
    title: "Les configurations sont correctes pour l'environnement cible",
    find() {
      const { stack, environment, outputs, secrets } = context;
      const names = Object.keys(secrets).filter(isSecretName);
      const missing = requiredSecrets(environment, new Set<SecretName>(names)).filter(
        (name) => !secrets[name],
      );
      const weak = names.filter((name) => weaknessOf(name, secrets[name]!) !== undefined);
      const problems = [
        ...missing.map((name) => `secret ${name} absent (${entryOf(name).services.join(", ")})`),
        ...weak.map((name) => `secret ${name} faible, publié ou de mauvaise forme`),
        ...(environment.name === stack ? [] : [`réglages de ${environment.name} pour la pile ${stack}`]),
        ...(outputs && outputs.deploymentStatus.environment !== stack
          ? [`ce qui tourne est ${outputs.deploymentStatus.environment}, pas ${stack}`]
          : []),
      ];
      return problems.length > 0
        ? failed(`${problems.join(" ; ")} ; npm run secrets -- ${stack} dit comment les donner`)
        : ok(
            `réglages lus sans faute pour ${environment.domain}, ${names.length} secrets présents et solides`,
          );
    },
  };
}

/** Whether every secret is encrypted where the settings are kept. */
export function encryptionProbe({ stack, pulumi }: CheckContext): Probe {
  return {
    id: "secrets-encrypted",
    title: "Clés API sécurisées dans Secrets Manager",
    async find() {
      const printed = await pulumi({ args: ["config", "--json", "--stack", stack] });
      const settings = JSON.parse(printed) as Record<
        string,
        { secret?: boolean; value?: string } | undefined
      >;
      const given = Object.entries(settings).filter(([key, entry]) => {
        const name = key.replace(/^technicia:/, "");
        return isSecretName(name) && (entry?.secret === true || (entry?.value ?? "") !== "");
      });
      const clear = given.filter(([, entry]) => entry?.secret !== true).map(([key]) => key);
      if (clear.length > 0) return failed(`en clair dans Pulumi.${stack}.yaml : ${clear.join(", ")}`);
      return given.length === 0
        ? notChecked(`aucun secret dans Pulumi.${stack}.yaml`)
        : ok(`${given.length} secrets chiffrés dans Pulumi.${stack}.yaml, aucun en clair`);
    },
  };
}
