import tseslint from "typescript-eslint";

/** Who may import whom: [folder, folders that it may import besides itself]. */
const FOLDERS = {
  provider: [],
  infra: ["provider"],
  secrets: [],
  components: ["infra", "provider"],
  stacks: ["components", "infra", "provider", "secrets"],
  ops: ["provider", "stacks", "secrets"],
  rehearsal: ["secrets"],
};

const boundaries = Object.entries(FOLDERS).map(([folder, allowed]) => {
  const forbidden = Object.keys(FOLDERS).filter((other) => other !== folder && !allowed.includes(other));
  return {
    files: [`${folder}/**/*.ts`],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${[...forbidden, "test"].join("|")})/`,
              message: `${folder}/ may import ${allowed.length === 0 ? "no other folder" : allowed.join(", ")}.`,
            },
            // The program sees the provider's classes, never its works.
            ...(allowed.includes("provider")
              ? [
                  {
                    regex:
                      folder === "ops"
                        ? "/provider/(?!(ssh|openssh|ovh/client|lean-zod)\\.ts$)"
                        : "/provider/(?!(resources|openssh|lean-zod)\\.ts$)",
                    message:
                      "Only provider/resources.ts is for the program, for operators its ssh and OVH's client, and for both openssh.ts and lean-zod.ts.",
                  },
                ]
              : []),
            ...(folder === "rehearsal"
              ? [
                  {
                    regex: "/secrets/(?!catalog\\.ts$)",
                    message: "The rehearsal uses the program as a user would.",
                  },
                ]
              : []),
          ],
        },
      ],
    },
  };
});

export default tseslint.config(
  { ignores: ["node_modules/", ".rehearsal/", "rehearsal/images/**/node_modules/"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // A resource is named by being made: nothing has to hold it.
      "no-new": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  ...boundaries,
  { files: ["**/*.js", "**/*.mjs"], ...tseslint.configs.disableTypeChecked },
);
