// These have to run before the SDK is loaded; that is why the other modules are imported dynamically.
import "../common/startup/compile-cache.ts";
import "../common/startup/lean-sdk.ts";

const { createCloud } = await import("./cloud.ts");
const { readInputs, throwToEngine } = await import("./configuration.ts");
const { digestOfProgram, recordDeclaration } = await import("./declaration.ts");
const { checkFirstPreview } = await import("./first-preview.ts");
const { defineTechnicia } = await import("./technicia.ts");

async function deploy() {
  const { environment, secrets, content } = await readInputs();
  const cloud = createCloud(environment, secrets);
  const deployment = recordDeclaration(
    () => defineTechnicia({ environment, secrets, cloud, content }),
    digestOfProgram(content),
  );
  return await checkFirstPreview({ environment, secrets }, deployment);
}

export const { deploymentStatus, url, ipv4, ipv6, sshCommand, ssh, tunnels } =
  await deploy().catch(throwToEngine);
