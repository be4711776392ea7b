import type { Commands } from "../command.ts";

// Markdown parser, formatter and charts take long to load, so only these commands load them.
export const commands: Commands = {
  report: {
    usage: "npm run report [-- --html <file>]",
    summary: "updates docs/deployment-tracking.md (French) from state and records; --html writes a page too",
    async run(args) {
      const { report } = await import("./report-command.ts");
      return report({ usage: this.usage, args });
    },
  },

  incident: {
    usage: "npm run incident -- list|new|resolve|from-alerts …",
    summary:
      "lists, opens and resolves entries of docs/deployment-issues.md (French); from-alerts opens one for each fault that an alert reported",
    async run(args) {
      const { incident } = await import("./incident-command.ts");
      return incident(args);
    },
  },
};
