import tseslint from "typescript-eslint";

/**
 * Who may import whom: folder → the folders that it may import besides itself.
 *
 * An entry with a slash is a folder inside another one: its list names only siblings, and the lists of the folders around it apply as well.
 * Files directly in `ops/` and `provider/` may import every folder inside. Nothing imports `test/`.
 */
const FOLDERS = {
  common: [],
  provider: ["common"],
  infra: ["common", "provider"],
  secrets: ["common"],
  components: ["common", "infra", "provider"],
  stacks: ["common", "components", "infra", "provider", "secrets"],
  reports: ["common", "stacks"],
  ops: ["common", "provider", "stacks", "secrets", "reports"],
  rehearsal: ["common", "provider", "secrets"],
};

const INNER_FOLDERS = {
  "provider/ssh": [],
  "provider/plugin": ["ssh"],
  "provider/host": ["plugin", "ssh"],
  "provider/ovh": ["plugin", "ssh"],
  "provider/dns": ["ovh"],
  "provider/n8n": ["plugin", "ssh"],
  "provider/ovh/order": [],
  "provider/ovh/vps": ["order"],
  "provider/ovh/firewall": [],
  "ops/vendors": [],
  "ops/server": ["vendors"],
  "ops/engine": ["server", "vendors"],
  "ops/fleet": ["engine", "server"],
  "ops/changes": ["engine"],
  "ops/checks": ["backup", "engine", "fleet", "monitoring", "server", "vendors"],
  "ops/preview": ["changes", "cost", "engine", "server", "vendors"],
  "ops/drift": ["backup", "changes", "engine", "fleet", "monitoring", "server", "vendors", "workflows"],
  "ops/deploy": [
    "backup",
    "changes",
    "checks",
    "cost",
    "engine",
    "fleet",
    "hold",
    "monitoring",
    "preview",
    "server",
    "vendors",
    "workflows",
  ],
  "ops/hold": ["engine", "fleet", "server", "workflows"],
  "ops/maintenance": ["deploy", "drift", "engine", "fleet", "monitoring", "server", "servers"],
  "ops/monitoring": ["engine", "server"],
  "ops/backup": ["engine", "fleet", "hold", "monitoring", "server", "vendors"],
  "ops/recovery": ["backup", "deploy", "engine", "monitoring", "server"],
  "ops/servers": ["backup", "deploy", "drift", "engine", "fleet", "monitoring", "recovery", "server"],
  "ops/cost": ["backup", "engine", "monitoring"],
  "ops/documents": ["backup", "cost", "engine", "monitoring", "server", "vendors"],
  "ops/validation": ["backup", "documents", "engine", "monitoring", "server", "vendors"],
  "ops/tasks": ["backup", "documents", "engine", "fleet", "server"],
  "ops/scan": ["tools"],
  "ops/tools": [],
  "ops/workflows": ["engine", "server"],
};

/** Files that a folder may import from a folder of which it may not import everything. */
const ONLY_THESE_FILES = {
  infra: { provider: ["resources", "ssh/openssh-options", "dns/records"] },
  components: { provider: ["resources"] },
  stacks: { provider: ["resources", "ssh/key-file", "dns/records", "n8n/[a-z-]+"] },
  ops: {
    provider: [
      "dns/[a-z]+",
      "n8n/[a-z-]+",
      "ssh/control-folder",
      "ssh/host",
      "ssh/openssh-options",
      "ovh/client",
      "ovh/errors",
      "ovh/rights",
      "ovh/order/catalog",
    ],
  },
  rehearsal: {
    provider: ["ssh/control-folder", "plugin/[a-z-]+", "ovh/client", "ovh/errors", "ovh/rights"],
    secrets: ["catalog"],
  },
};

const outside = (folder) => {
  const allowed = FOLDERS[folder];
  const forbidden = Object.keys(FOLDERS).filter((other) => other !== folder && !allowed.includes(other));
  return [
    {
      regex: `^(\\.\\./)+(${[...forbidden, "test"].join("|")})/`,
      message: `${folder}/ may import ${allowed.join(", ") || "no other folder"}.`,
    },
    ...Object.entries(ONLY_THESE_FILES[folder] ?? {}).map(([other, files]) => ({
      regex: `^(\\.\\./)+${other}/(?!(${files.join("|")})\\.ts$)`,
      message: `Of ${other}/, ${folder}/ may import only ${files.join(", ")}.`,
    })),
  ];
};

const parentOf = (folder) => folder.slice(0, folder.lastIndexOf("/"));

const inside = (folder) => {
  const parent = parentOf(folder);
  const siblings = Object.keys(INNER_FOLDERS)
    .filter((other) => other !== folder && parentOf(other) === parent)
    .map((other) => other.slice(parent.length + 1));
  const forbidden = siblings.filter((sibling) => !INNER_FOLDERS[folder].includes(sibling));
  return [
    {
      regex: `^\\.\\./(?:\\.\\./)?(${forbidden.join("|")})/`,
      message: `${folder}/ may import ${INNER_FOLDERS[folder].join(", ") || "no sibling"}.`,
    },
  ];
};

const patternsOf = (folder) =>
  folder.includes("/") ? [...patternsOf(parentOf(folder)), ...inside(folder)] : outside(folder);

const boundaries = [...Object.keys(FOLDERS), ...Object.keys(INNER_FOLDERS)].map((folder) => ({
  files: [`${folder}/**/*.ts`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: patternsOf(folder),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ["node_modules/", ".rehearsal/", "rehearsal/images/**/node_modules/"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // A resource exists once it is constructed; nothing has to keep a reference to it.
      "no-new": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  ...boundaries,
  { files: ["**/*.js", "**/*.mjs"], ...tseslint.configs.disableTypeChecked },
);
