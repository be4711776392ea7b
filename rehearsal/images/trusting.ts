/** Images whose programs call the fakes of vendors, and so have to trust the rehearsal's authority. */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { docker } from "../docker.ts";
import { isPulled } from "./upstream.ts";

const AUTHORITY = "/usr/local/share/ca-certificates/rehearsal.crt";

/** Of the images that the registry offers: n8n calls Anthropic, and TechnicIA's own services VoyageAI and Google. */
const CALLERS = /^(n8nio\/n8n|technicia\/(vector-store|document-processor|vision-classifier)):/;

/** What is put on top of an image. Python's httpx and Node.js know their authorities by these variables. */
const DOCKERFILE = `ARG IMAGE
FROM \${IMAGE}
COPY authority.pem ${AUTHORITY}
ENV SSL_CERT_FILE=${AUTHORITY} NODE_EXTRA_CA_CERTS=${AUTHORITY}
`;

/** The same list of name → local tag, with images that trust `authority` (path of a PEM) for those that call vendors. */
export async function trustingCallers(
  published: Readonly<Record<string, string>>,
  authority: string,
): Promise<Record<string, string>> {
  const trusting: Record<string, string> = {};
  for (const [name, tag] of Object.entries(published))
    trusting[name] = CALLERS.test(name) ? await trustingImage(tag, authority) : tag;
  return trusting;
}

/** Builds an image on `tag` that trusts `authority`, unless there is one. Returns its local tag. */
export async function trustingImage(tag: string, authority: string): Promise<string> {
  const seed = [tag, DOCKERFILE, await readFile(authority, "utf8")].join("\n");
  const [name = ""] = tag.replace(/^technicia-rehearsal\//, "").split(":");
  const hash = createHash("sha256").update(seed).digest("hex").slice(0, 12);
  const trusting = `technicia-rehearsal/trusting-${name.replaceAll("/", "-")}:${hash}`;
  if (await isPulled(trusting)) return trusting;
  const context = await mkdtemp(join(tmpdir(), "technicia-context-"));
  try {
    await cp(authority, join(context, "authority.pem"));
    await writeFile(join(context, "Dockerfile"), DOCKERFILE);
    await docker(
      ["build", "--quiet", "--force-rm", "--tag", trusting, "--build-arg", `IMAGE=${tag}`, context],
      // As for the images below it.
      { environment: { DOCKER_BUILDKIT: "0" } },
    );
  } finally {
    await rm(context, { recursive: true });
  }
  return trusting;
}
