import { describe, expect, it } from "vitest";

import { renderSummary } from "../../rehearsal/summary.ts";

const summary = (isMonitored: boolean, neighbour?: "staging"): string =>
  renderSummary({
    stack: "test",
    outputs: {
      url: "https://test.technicia.example",
      ipv4: "198.18.113.10",
      sshCommand: "ssh x",
      tunnels: [],
    },
    engine: { description: "", pulumi: "pulumi", environment: {}, versions: { pulumi: "v3" } },
    backups: ["1 set"],
    isMonitored,
    ...(neighbour && { neighbour }),
    seconds: { preparation: 1, deployment: 2 },
  });

describe("the summary of a rehearsal", () => {
  it("says where alerts arrive, if there are any", () => {
    expect(summary(true)).toContain("http://198.51.100.8:8025/api/v1/messages");
    expect(summary(true)).toContain("http://198.51.100.53:8090/calls?api=webhooks");
    expect(summary(false)).not.toContain("alerts");
  });

  it("says where the second environment is, if there is one", () => {
    expect(summary(true, "staging")).toContain("https://staging.technicia.example");
    expect(summary(true, "staging")).toContain("npm run rehearsal -- stack output --stack staging");
    expect(summary(true)).not.toContain("neighbour");
  });
});
