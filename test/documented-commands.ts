/** The commands of the README and of the English pages, and where each is tried. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import remarkGfm from "remark-gfm";
import remarkParse from "remark-parse";
import { unified } from "unified";

import { ROOT } from "../rehearsal/addresses.ts";
import { QUIET } from "./e2e/rehearsal.ts";

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "docs/accounts.md",
  "docs/ci.md",
  "docs/operations.md",
  "docs/rehearsal.md",
];

/** How a command is run. */
interface Run {
  /** Folder: a new checkout with a state of its own, or the rehearsal's deployment. */
  readonly on: "new" | "rehearsal";
  readonly input?: string;

  /** Whether it asks before it changes anything; the answer is yes. @default false */
  readonly asks?: boolean;

  /** Exit codes that are right. @default 0 alone */
  readonly codes?: readonly number[];

  /** What it must print. */
  readonly says?: RegExp;
}

/** In the order in which they are run. */
export const RUNS: Readonly<Record<string, Run>> = {
  "npx pulumi version": { on: "new", says: /^v\d+\.\d+\.\d+/ },
  'mkdir -p "$HOME/technicia-state" && npx pulumi login "file://$HOME/technicia-state"': {
    on: "new",
    says: /Logged in/,
  },
  "npx pulumi stack init test": { on: "new", says: /Created stack 'test'/ },
  "npx pulumi config set --secret technicia:ovhApplicationKey --stack test": {
    on: "new",
    input: "0123456789abcdef",
  },
  // Some secrets are the user's to give.
  "npm run help": { on: "new", says: /^rollback +<stack>/m },
  "npm run settings": { on: "new" },
  "npx vitest run --project parts test/stacks/settings.test.ts": { on: "new", says: /passed/ },
  "npm run secrets -- test": { on: "new", codes: [1], says: /VoyageAI/ },
  "npm run secrets -- test --init": { on: "new", codes: [1], says: /generated .*n8nEncryptionKey/ },
  "npx pulumi config set --path technicia:backup.project 0123456789abcdef0123456789abcdef --stack test": {
    on: "new",
  },
  "npx pulumi up --refresh --stack test --policy-pack stacks/policy": { on: "rehearsal", asks: true },
  "npx pulumi refresh --preview-only --diff --stack test": { on: "rehearsal", says: QUIET },
  "npm run rehearsal -- preview --diff": { on: "rehearsal", says: QUIET },
  "npm run rehearsal:exec -- npm run status -- test": { on: "rehearsal", says: /Environnement/ },
  "npx pulumi preview --stack test --diff --policy-pack stacks/policy": { on: "rehearsal", says: QUIET },
  "npx pulumi up --stack test --policy-pack stacks/policy": { on: "rehearsal", asks: true, says: QUIET },
  "curl --cacert .rehearsal/acme-root.pem --resolve test.technicia.example:443:198.18.113.10 https://test.technicia.example/api/question --header 'content-type: application/json' --data '{\"question\": \"Pourquoi la pompe fait-elle du bruit ?\"}'":
    { on: "rehearsal", says: /"answer":"[^"]*cavitation.*"title":"hydraulic-purge\.pdf"/ },
  "npm run status -- test": { on: "rehearsal", says: /https:\/\// },
  "npm run servers -- test": { on: "rehearsal", says: /^main +manager:.* +ready/m },
  "npm run preview -- test": { on: "rehearsal", says: /nothing changes/ },
  "npm run drift -- test": { on: "rehearsal" },
  "npm run history -- test": { on: "rehearsal", says: /Release/ },
  "npm run backup -- test": { on: "rehearsal", says: /^set [0-9a-f]{8}: /m },
  "npm run drill -- test": { on: "rehearsal" },
  // The load of this machine may be an alert.
  "npm run alerts -- test": { on: "rehearsal", codes: [0, 1], says: /no alert|^P[123] /m },
  "npm run logs -- test": { on: "rehearsal", says: /gateway +GET \/healthz 200/ },
  "npm run metrics -- test": { on: "rehearsal", says: /^Answers, p95 +[\d.]+ s/m },
  "npm run report": { on: "rehearsal" },
  "npm run incident -- list": { on: "rehearsal" },
  "npm run secrets -- test rotate": { on: "rehearsal", says: /^qdrantApiKey +\d{4}-/m },
};

/** Commands that other tests run, and which. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  "npm ci": "rehearsal/bootstrap.mjs, at the start of every run",
  "npm start": "test/e2e/deployment.test.ts",
  "npm start -- --stack prod": "test/e2e/environments.long.test.ts",
  "npm start -- --servers 3": "test/e2e/servers.long.test.ts",
  "npm start -- --neighbour": "test/e2e/faults-outside.long.test.ts",
  "npm start -- --variant chrony": "test/e2e/variants.long.test.ts",
  'npm start -- --image "Debian 13"': "test/e2e/releases.long.test.ts",
  "npm test": "this very run",
  "npm test -- long variants": "test/e2e/variants.long.test.ts",
  "npm test -- long distance": "test/e2e/distance.long.test.ts",
  "npm test -- long faults-outside": "test/e2e/faults-outside.long.test.ts",
  "npm test -- long faults-neighbours": "test/e2e/faults-neighbours.long.test.ts",
  "npm run check": "test/run.ts runs the same three programs",
  "npx vitest run --project parts": "test/run.ts",
  "npx vitest run --project parts test/stacks/technicia-urns --update": "test/contributing.long.test.ts",
  "npm run deploy -- test": "test/e2e/deploy.test.ts, with --yes",
  "npm run deploy -- test --yes": "test/e2e/deploy.test.ts",
  "npm run maintain -- test --yes": "test/e2e/maintenance.long.test.ts",
  "npm run maintain -- test --server gra-2": "test/ops/servers/maintain.test.ts",
  "npm run servers -- test add gra-2:manager sbg-1:witness --order FR:15": "test/ops/servers/add.test.ts",
  "npm run servers -- test drain gra-2": "test/ops/servers/servers.test.ts",
  "npm run servers -- test undrain gra-2": "test/ops/servers/servers.test.ts",
  "npm run servers -- test remove gra-4": "test/ops/servers/servers.test.ts",
  "npm run failover -- test --from gra-2 --drill": "test/ops/servers/failover.test.ts",
  "npm run failover -- test --from gra-2": "test/ops/servers/failover.test.ts",
  'npm run alerts -- test ack ServiceDown-qdrant --comment "je regarde"':
    "test/ops/monitoring/silences.test.ts",
  'npm run alerts -- test silence service=qdrant --for 2h --comment "travaux"':
    "test/ops/monitoring/silences.test.ts",
  "npm run alerts -- test history --since 7d": "test/ops/monitoring/alerts.test.ts",
  "npm run alerts -- test rules": "test/ops/monitoring/alerts.test.ts",
  "npm run alerts -- test test": "test/ops/monitoring/alert-test.test.ts",
  "npm run logs -- test n8n --since 2h --errors": "test/ops/monitoring/logs.test.ts",
  "npm run logs -- test --request 0123456789abcdef0123456789abcdef": "test/ops/monitoring/logs.test.ts",
  "npm run validate -- test": "test/ops/validation/validate.test.ts",
  "npm run incident -- from-alerts test": "test/ops/documents/alert-incidents.test.ts",
  "npm run workflows -- test check": "test/ops/workflows/check.test.ts and commands.test.ts",
  "npm run workflows -- test diff": "test/ops/workflows/push.test.ts",
  "npm run workflows -- test push --yes": "test/ops/workflows/push.test.ts",
  "npm run workflows -- test pull": "test/ops/workflows/push.test.ts",
  "npm run documents -- test list": "test/ops/uploads/uploads.test.ts",
  "npm run documents -- test delete 0b1f6a0e-5d0c-4f0e-9f43-3f6f3a1f0c11": "test/ops/uploads/uploads.test.ts",
  "npm run documents -- test reindex --all": "test/ops/uploads/uploads.test.ts",
  "npm run resume -- test --reinstalled": "test/e2e/runbook.long.test.ts",
  "npm run promote -- staging prod": "test/ops/deploy/promote.test.ts",
  "npm run secrets -- test rotate qdrantApiKey --yes": "test/e2e/rotation.long.test.ts",
  "npm run secrets -- test rotate passphrase": "test/ops/rotation/passphrase.test.ts",
  "npm run rehearsal:stop": "test/e2e/destroy.test.ts",
  "npm run scan -- prod": "test/ops/scan/scan.test.ts",
  "npm run tools -- install pulumi": "test/ops/tools/tools.test.ts",
  "npm run tools -- install scanner": "test/ops/tools/tools.test.ts",
  "npx pulumi destroy --stack test": "test/e2e/destroy.test.ts",
  "npx pulumi destroy --exclude-protected --stack prod": "test/e2e/environments.long.test.ts",
};

/** Commands that need what no test has. */
export const UNTRIED: Readonly<Record<string, string>> = {
  "npx pulumi login": "an account at Pulumi Cloud",
  "npm run bench": "some ten minutes of an idle machine",
  "npm run tools -- lock": "releases at GitHub",
  "npm run fix": "somebody's uncommitted work to format",
};

interface Node {
  readonly type: string;
  readonly lang?: string | null;
  readonly value?: string;
  readonly children?: readonly Node[];
}

/** Every line of a shell block, and every npm or npx command in the text. */
function commandsOf(node: Node): string[] {
  const value = node.value ?? "";
  if (node.type === "code" && /^(ba)?sh$/.test(node.lang ?? "")) {
    return value.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  }
  // A word alone names a program. A command with a placeholder is a pattern: a block has an instance of it.
  if (node.type === "inlineCode" && /^(np[mx]|mkdir) /.test(value) && !/[<…]/.test(value)) return [value];
  return (node.children ?? []).flatMap(commandsOf);
}

/** All of them, once each. */
export async function readCommands(): Promise<readonly string[]> {
  const texts = await Promise.all(PAGES.map((page) => readFile(join(ROOT, page), "utf8")));
  const parser = unified().use(remarkParse).use(remarkGfm);
  return [...new Set(texts.flatMap((text) => commandsOf(parser.parse(text) as Node)))];
}
