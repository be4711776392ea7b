import type * as pulumi from "@pulumi/pulumi";

import type { Networks } from "../components/networks.ts";
import { PythonService } from "../components/python-service.ts";
import { Service } from "../components/service.ts";
import type { Secrets } from "../secrets/resolve.ts";
import type { Environment } from "./environment.ts";

/** The image of one service, pulled on the host. */
export type Pull = (service: keyof Environment["images"]) => pulumi.Output<string>;

/** The services beside the core that settings switch on, by their names in the settings. */
export function createDocumentServices(
  environment: Environment,
  secrets: Secrets,
  pull: Pull,
  networks: Networks,
  opts: pulumi.ComponentResourceOptions,
): Readonly<Record<string, { readonly service: Service }>> {
  const { services, timeouts } = environment;
  const patience = {
    convergenceSeconds: timeouts.convergenceSeconds,
    observationSeconds: timeouts.observationSeconds,
  };
  const google = {
    environment: { GOOGLE_APPLICATION_CREDENTIALS: "/run/secrets/google_credentials" },
    secretFiles: secrets.has("googleCredentials")
      ? [{ file: "google_credentials", value: secrets.value("googleCredentials") }]
      : [],
  };
  const made: Record<string, { readonly service: Service }> = {};
  if (services.documentProcessor.enabled) {
    const { project, location, processorId } = services.documentProcessor;
    made["documentProcessor"] = new PythonService(
      "technicia-document-processor",
      {
        ...patience,
        image: pull("documentProcessor"),
        limits: services.documentProcessor,
        alias: "document-processor",
        networks: [networks.app],
        secretFiles: google.secretFiles,
        environment: {
          ...google.environment,
          DOCUMENT_AI_PROJECT: project,
          DOCUMENT_AI_LOCATION: location,
          DOCUMENT_AI_PROCESSOR_ID: processorId,
          // The file system is read-only but for /tmp, which the task loses when it ends: nothing piles up.
          TEMP_DIR: "/tmp/technicia",
        },
      },
      opts,
    );
  }
  if (services.visionClassifier.enabled) {
    made["visionClassifier"] = new PythonService(
      "technicia-vision-classifier",
      {
        ...patience,
        image: pull("visionClassifier"),
        limits: services.visionClassifier,
        alias: "vision-classifier",
        networks: [networks.app],
        ...google,
      },
      opts,
    );
  }
  if (services.frontend.enabled) {
    const service = new Service(
      "technicia-frontend",
      {
        ...patience,
        image: pull("frontend"),
        limits: services.frontend,
        networks: [{ network: networks.edge, aliases: ["frontend", "technicia-frontend"] }],
        health: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:80/"],
        capabilities: ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"],
      },
      opts,
    );
    made["frontend"] = { service };
  }
  return made;
}
