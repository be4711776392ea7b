/** Runs the runbook's commands as they are written, each part in the trouble that it is for. */
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ROOT, STATE } from "../../rehearsal/addresses.ts";
import { readRunbook, type Block } from "../support/runbook.ts";
import { reinstall } from "../../rehearsal/reinstall.ts";
import { askHealth, DOMAIN, ensureStarted, startAgain, onServer, operator, set, until } from "./rehearsal.ts";

const HOLDER = "Ada Lovelace <ada@exemple.fr>";
const DOCUMENTS = ["deployment-issues.md", "deployment-tracking.md"].map((name) => join(STATE, "docs", name));

/** What makes the trouble, and what has to be so once the part's commands have been run. */
interface Trouble {
  readonly make?: () => Promise<void>;
  readonly isOver: () => Promise<void>;
}

const imageOf = (service: string) =>
  onServer(
    `docker service inspect technicia-${service} --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'`,
  );
const secretsOfN8n = () =>
  onServer(
    `docker service inspect technicia-n8n --format '{{json .Spec.TaskTemplate.ContainerSpec.Secrets}}'`,
  );
const certificate = () =>
  onServer(
    `openssl s_client -connect 127.0.0.1:443 -servername ${DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial`,
  );
const BY_HAND = "# changé à la main";
const EDITED = "/etc/technicia/certificate.env";

let before = "";

const TROUBLES: Readonly<Record<string, Trouble>> = {
  "Procédure d'intervention": {
    isOver: async () => {
      const issues = await readFile(DOCUMENTS[0]!, "utf8");
      expect(issues).toMatch(/### DEPLOY-\d+: Réponses lentes[^]*\*\*Statut\*\*: Résolu/);
      expect(await readFile(DOCUMENTS[1]!, "utf8")).toMatch(/\| Test +\| Déployé +\| https:/);
    },
  },
  "Retour arrière": {
    make: async () => {
      before = await imageOf("vector-store");
      await set("technicia:images.vectorStore", "technicia/vector-store:1.0.1");
      await run('npm run deploy -- "$STACK" --yes');
      expect(await imageOf("vector-store")).toContain(":1.0.1");
    },
    isOver: async () => {
      expect(await imageOf("vector-store")).toBe(before);
      await set("technicia:images.vectorStore", "technicia/vector-store:1.0.0");
    },
  },
  "Rotation d'un secret": {
    make: async () => {
      before = await secretsOfN8n();
    },
    isOver: async () => {
      expect(await secretsOfN8n()).not.toBe(before);
    },
  },
  "Départ d'un collègue": {
    make: async () => {
      const { stdout } = await operator([
        "bash",
        "-c",
        "ssh-keygen -q -t ed25519 -N '' -f alice-key; cat alice-key.pub",
      ]);
      await set("technicia:ssh.admins[0].name", "alice");
      await set("technicia:ssh.admins[0].keys[0]", stdout.trim());
      await run('npm run deploy -- "$STACK" --yes');
      expect(await onServer("cat /home/alice/.ssh/authorized_keys")).toContain("ssh-ed25519");
      before = await secretsOfN8n();
    },
    isOver: async () => {
      expect(await onServer("cat /home/alice/.ssh/authorized_keys 2>/dev/null || echo closed")).toBe(
        "closed",
      );
      expect(await secretsOfN8n()).not.toBe(before);
    },
  },
  "Problème de certificat": {
    make: async () => {
      before = await certificate();
    },
    isOver: async () => {
      expect(await certificate()).not.toBe(before);
    },
  },
  Dérive: {
    make: async () => {
      await onServer(`echo '${BY_HAND}' >> ${EDITED}`);
    },
    isOver: async () => {
      expect(await onServer(`cat ${EDITED}`)).not.toContain(BY_HAND);
    },
  },
  "Maintenance du serveur": {
    make: async () => {
      before = await onServer("cat /proc/sys/kernel/random/boot_id");
      await onServer("touch /run/reboot-required");
    },
    isOver: async () => {
      expect(await onServer("cat /proc/sys/kernel/random/boot_id")).not.toBe(before);
    },
  },
  "Verrou bloqué": {
    make: async () => {
      const holder = { token: "of-a-dead-one", who: HOLDER, run: "", process: 1, why: "deploy: essai" };
      await onServer(
        `mkdir -p /var/lib/technicia/lock && cd /var/lib/technicia/lock && ` +
          `echo '${JSON.stringify(holder)}' > holder.json && touch --date '-1 hour' lease holder.json`,
      );
    },
    isOver: async () => {
      expect(await onServer("ls /var/lib/technicia")).not.toMatch(/^lock$/m);
    },
  },
  "Serveur perdu": {
    make: reinstall,
    isOver: async () => {
      expect(await onServer("docker service ls --format '{{.Name}} {{.Replicas}}'")).toMatch(
        /technicia-n8n 1\/1/,
      );
    },
  },
};

const blocks = readRunbook();
const [preparation] = blocks;

async function run(script: string) {
  const outcome = await operator(
    ["bash", "-euo", "pipefail", "-c", `${preparation?.script ?? ""}\n${script}`],
    {
      environment: { STACK: "test", DETENTEUR: HOLDER },
    },
  );
  return { ...outcome, told: `${outcome.stdout}\n${outcome.stderr}` };
}

beforeAll(async () => {
  await ensureStarted();
  // The runbook resolves the first problem of an environment: what earlier tests have met is not in the list.
  await cp(join(ROOT, "docs", "deployment-issues.md"), join(STATE, "docs", "deployment-issues.md"));
});
// Rewrites the settings, which reverts what the tests changed.
afterAll(startAgain);

const sections = Map.groupBy(blocks.slice(1), ({ section }) => section);

describe.each([...sections])("the runbook, %s", (section, steps) => {
  const trouble = TROUBLES[section];
  if (trouble === undefined)
    throw new Error(`TROUBLES has no entry for the section "${section}" of docs/runbook.md`);
  beforeAll(() => trouble.make?.());

  it.each(steps)("ends with the announced exit code in line $line", async ({ script, code }: Block) => {
    const outcome = await run(script);

    expect(outcome.code, `${script}\n${outcome.told}`).toBe(code);
  });

  it("solves the problem, and TechnicIA answers", async () => {
    await trouble.isOver();
    await until("TechnicIA to answer", async () => {
      await askHealth();
      return true;
    });
  });
});
