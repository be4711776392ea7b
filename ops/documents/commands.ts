import type { Commands } from "../command.ts";
import { categories, priorities } from "../../reports/incidents/vocabulary.ts";

// Their parsers, formatter and charts are loaded when they are asked for: they would slow down every other command.
export const commands: Commands = {
  report: {
    usage: "npm run report [-- --html <file>]",
    async run(args) {
      const { report } = await import("./report-command.ts");
      return report(this.usage, args);
    },
  },

  incident: {
    usage: [
      "npm run incident -- list [--open]",
      `npm run incident -- new --environment <stack> --title <text> --priority <${priorities.join("|")}> --category <${categories.join("|")}>`,
      "                        --impact <text> --description <text> --symptom <text>… [--diagnostic <text>…]",
      "npm run incident -- resolve <DEPLOY-001> --cause <text> --solution <text> [--command <text>]",
      "                        --prevention <text>… --lesson <text>… [--workaround]",
    ].join("\n  "),
    async run(args) {
      const { incident } = await import("./incident-command.ts");
      return incident(this.usage, args);
    },
  },
};
