import { describe, expect, it } from "vitest";

import { renderSummary } from "../../rehearsal/summary.ts";

const summary = (isMonitored: boolean): string =>
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
    seconds: { preparation: 1, deployment: 2 },
  });

describe("the summary of a rehearsal", () => {
  it("says where alerts arrive, if there are any", () => {
    expect(summary(true)).toContain("http://198.51.100.8:8025/api/v1/messages");
    expect(summary(true)).toContain("http://198.51.100.53:8090/calls?api=webhooks");
    expect(summary(false)).not.toContain("alerts");
  });
});
