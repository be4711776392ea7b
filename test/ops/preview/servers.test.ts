import { describe, expect, it } from "vitest";

import { renderPreview } from "../../../ops/preview/markdown.ts";
import { describeServers } from "../../../ops/preview/servers.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { listed, three, twoAndWitness } from "../../support/servers.ts";
import { eventLog, reportOf } from "./recorded.ts";

const one = environmentWith();
const equal = environmentWith(listed(three));
const withWitness = environmentWith(listed(twoAndWitness));
const changed = (edit: (list: typeof three) => readonly object[]) =>
  environmentWith(listed(edit(three) as typeof three));

const [first, second, third] = three as unknown as [
  (typeof three)[number],
  (typeof three)[number],
  (typeof three)[number],
];
const gap =
  "not protected afterwards: when `gra-1` is lost, there are no answers and no uploads until it is back or restored";

describe("the words for another list of servers", () => {
  it("are none where the list stays, in another order of labels and on the first set-up of one server", () => {
    expect(describeServers(equal, equal)).toEqual([]);
    expect(describeServers(one, one)).toEqual([]);
    expect(describeServers(undefined, one)).toEqual([]);
  });

  it("say of the first set-up of several what they do not survive", () => {
    expect(describeServers(undefined, equal)).toEqual([
      "3 servers are set up; `gra-1`, `gra-2`, `gra-3` are one Swarm",
      gap,
    ]);
  });

  it("say of growth that all services move to other networks, and who joins", () => {
    expect(describeServers(one, withWitness)).toEqual([
      expect.stringContaining(
        "all services move to networks with other names, one after the other",
      ) as string,
      "`gra-2` is set up and joins as manager: nothing that runs restarts, and nothing moves to it by itself: `npm run servers -- test undrain gra-2` gives it its share afterwards. Visitors come to it within 60 s.",
      "`sbg-1` is ordered, set up and joins as witness: nothing that runs restarts, and it only votes",
      gap,
    ]);
  });

  it("say of a server that goes how nothing is interrupted, and for how long otherwise", () => {
    const before = changed(() => [
      ...three,
      { name: "gra-4", role: "worker", serviceName: "vps-4.vps.ovh.net" },
    ]);

    expect(describeServers(before, equal)).toEqual([
      "`gra-4` goes: take it out in order with `npm run servers -- test remove gra-4` before this is deployed, and nothing is interrupted; otherwise what runs there is away for about 20 s",
      gap,
    ]);
    expect(
      describeServers(
        equal,
        changed(() => [first]),
      )[0],
    ).toContain("from several servers to one is not rehearsed");
  });

  it("say of data that is to move that it does not come along", () => {
    const after = changed(() => [
      { ...first, labels: ["gateway"] },
      { ...second, labels: first.labels },
      third,
    ]);

    expect(describeServers(equal, after)).toEqual([
      expect.stringMatching(
        /^\*\*qdrant, n8n, postgres, monitoring move from `gra-1` to `gra-2`, and their data does not\*\*.*npm run restore -- test/,
      ) as string,
      gap.replace("gra-1", "gra-2"),
    ]);
  });

  it("say of another machine under the same name what stays on the old one", () => {
    const data = changed(() => [{ ...first, serviceName: "vps-9.vps.ovh.net" }, second, third]);
    const none = changed(() => [first, second, { ...third, serviceName: "vps-9.vps.ovh.net" }]);

    expect(describeServers(equal, data)[0]).toMatch(
      /^\*\*`gra-1` becomes another machine \(vps-1a2b3c4d\.vps\.ovh\.net → vps-9\.vps\.ovh\.net\), and its data stays.*npm run recover -- test/,
    );
    expect(describeServers(equal, none)[0]).toContain(
      "`npm run servers -- test drain gra-3` has moved it before",
    );
  });

  it("say of a renamed server that it would be set up twice", () => {
    const after = changed(() => [first, second, { ...third, name: "gra-9" }]);

    expect(describeServers(equal, after)).toEqual([
      "`gra-3` is called `gra-9` now, which is another server to the program: it would set the same machine up twice; give it its name back",
      gap,
    ]);
  });

  it("say that the first server cannot go", () => {
    const before = changed(() => [
      { ...first, labels: ["gateway"] },
      { ...second, labels: first.labels },
      third,
    ]);
    const after = changed(() => [{ ...second, labels: first.labels }]);
    const rest = describeServers(before, {
      ...after,
      servers: [after.servers[0], ...equal.servers.slice(2)],
    });

    expect(rest[0]).toContain("`gra-1` was the first of the list");
  });

  it.each([
    [
      { role: "witness", labels: [] },
      "`gra-3` becomes witness instead of manager: what runs there stops and starts elsewhere, so drain it first",
    ],
    [
      { labels: [] },
      "`gra-3` takes no visitors any more: those whom resolvers still lead there get no answer for up to 60 s",
    ],
  ])("say of %j what that does to it", (edit, words) => {
    expect(
      describeServers(
        equal,
        changed(() => [first, second, { ...third, ...edit }]),
      ).join("\n"),
    ).toContain(words);
  });

  it("say who takes visitors as well, and who votes no more", () => {
    const before = changed(() => [first, { ...second, labels: [] }, third]);
    expect(describeServers(before, equal)[0]).toBe(
      "`gra-2` takes visitors as well, once resolvers know it: within 60 s",
    );
    const workers = changed(() => [first, { ...second, role: "worker" }, { ...third, role: "worker" }]);
    expect(describeServers(equal, workers)).toContain(
      "`gra-2` becomes worker instead of manager: it votes no more, and nothing moves",
    );
    expect(describeServers(equal, workers)).toContain(
      "not protected afterwards: when `gra-1` is lost, there are no answers and no uploads until it is back or restored, the Swarm cannot be changed and moves nothing",
    );
  });

  it("are in the preview, above its table", () => {
    const text = renderPreview(reportOf(eventLog("bump"), { servers: ["`gra-2` goes"] }));

    expect(text).toContain("**Servers** (docs/servers.md)\n\n- `gra-2` goes\n\n| Layer |");
  });
});
