import { describe, expect, it } from "vitest";

import type { Shown } from "../../rehearsal/question.ts";
import { renderSummary } from "../../rehearsal/summary.ts";

const SHOWN: Shown = {
  question: "Comment purger le circuit hydraulique ?",
  answer: "Pour purger le circuit hydraulique, ouvrez d'un demi-tour la vis de purge V3 [1]. ".repeat(3),
  sources: ["hydraulic-purge.pdf, page 2"],
  hops: [
    ["upload", 210],
    ["answer in all", 1234],
  ],
};

const summary = (isMonitored: boolean, neighbour?: "staging", shown?: Shown): string =>
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
    shown,
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

  it("has the question, its answer with the source, each hop, and a command for another question", () => {
    const printed = summary(true, undefined, SHOWN);

    expect(printed).toContain("Comment purger le circuit hydraulique ?");
    expect(printed).toContain("source: hydraulic-purge.pdf, page 2");
    expect(printed).toContain("upload: 0.21 s");
    expect(printed).toContain("answer in all: 1.23 s");
    expect(printed).toMatch(
      /curl .*https:\/\/test\.technicia\.example\/api\/question .*--data '\{"question": "[^"]+"\}'/,
    );
    expect(summary(true)).not.toContain("/api/question");
  });
});
