import { afterEach, describe, expect, it, vi } from "vitest";

import { readCodes, readTold } from "../../rehearsal/bench/told.ts";

/** As the template `technicia.text` writes a beginning, and an end. */
const FIRING = `n8n ne répond plus

Où : test, service n8n
Depuis : 27/11/2026 21:00:00 CET
Gravité : P1, critique : le service est indisponible ou va l'être
Valeur : plus de 3 contrôles de suite ont échoué
Ce que cela veut dire : Ce qui dépend de ce service est en panne.
Que faire : Lire son journal : npm run logs -- test n8n --errors.
Procédure : docs/alerts.md#servicedown
S'en charger : npm run alerts -- test ack 'ServiceDown-n8n' --comment "…"

`;
const OTHER = FIRING.replaceAll("n8n", "qdrant");
const RESOLVED = `Résolu : n8n ne répond plus

Où : test, service n8n
Depuis : 27/11/2026 21:00:00 CET
Fin : 27/11/2026 21:05:00 CET

`;

const mails = [
  { ID: "1", Created: "2026-11-27T20:00:01Z", To: [{ Address: "equipe@technicia.example" }] },
  { ID: "2", Created: "2026-11-27T20:05:01Z", To: [{ Address: "equipe@technicia.example" }] },
  { ID: "3", Created: "2026-11-27T20:05:30Z", To: [{ Address: "astreinte@technicia.example" }] },
];
const texts: Readonly<Record<string, string>> = {
  1: FIRING + OTHER,
  2: RESOLVED,
  3: FIRING.replaceAll("\n", "\r\n"),
};
const call = (path: string, status: number, body: unknown) => ({
  ...{ time: "2026-11-27T20:00:02Z", method: "POST", path, status, body },
});
const calls = [
  call("/services/T1/B1/x", 200, { attachments: [{ text: FIRING }] }),
  call("/services/T1/B1/x", 429, { attachments: [{ text: FIRING }] }),
  call("/alertes/x", 200, {
    alerts: [
      { status: "firing", labels: { id: "ServiceDown-n8n", stack: "test" }, annotations: { title: "n8n" } },
    ],
  }),
  call("/v2/enqueue", 202, { payload: { custom_details: { message: FIRING } } }),
  call("/v2/enqueue", 400, { payload: { custom_details: { message: FIRING } } }),
  call("/deadman/test", 200, {}),
];

function stubDoubles(): void {
  vi.stubGlobal("fetch", (url: string) => {
    const id = /message\/(\w+)$/.exec(url)?.[1];
    if (id !== undefined) return Promise.resolve(Response.json({ Text: texts[id] }));
    return Promise.resolve(Response.json(url.includes("/calls") ? calls : { messages: mails }));
  });
}

afterEach(() => vi.unstubAllGlobals());

const since = (time: string) => Date.parse(`2026-11-27T${time}Z`);

describe("what people were told", () => {
  it("is each alert of each message that arrived, with its receiver, and an end with the id of its beginning", async () => {
    stubDoubles();
    const told = await readTold(since("20:00:00"));

    expect(told.map(({ receiver, status, id }) => `${receiver} ${status} ${id}`)).toEqual([
      "team firing ServiceDown-n8n",
      "team firing ServiceDown-qdrant",
      "slack firing ServiceDown-n8n",
      "pagerduty firing ServiceDown-n8n",
      "pager firing ServiceDown-n8n",
      "team resolved ServiceDown-n8n",
      "N1 firing ServiceDown-n8n",
    ]);
    expect(told[0]).toMatchObject({ at: since("20:00:01"), title: "n8n ne répond plus" });
    expect(new Set(told.map(({ stack }) => stack))).toEqual(new Set(["test"]));
  });

  it("is nothing from before, and without mail what the webhooks took", async () => {
    stubDoubles();

    expect((await readTold(since("20:05:10"))).map(({ receiver }) => receiver)).toEqual(["N1"]);
    const others = await readTold(since("20:00:00"), { mail: false });
    expect(others.map(({ receiver }) => receiver)).toEqual(["slack", "pagerduty", "pager"]);
  });
});

describe("the codes of a test of the alerts", () => {
  const tested = (run: string, code: string) =>
    FIRING.replace("ServiceDown-n8n", `Test-P1-${run}`).replace(
      /\n\n$/,
      `\nCode de ce message : ${code}\n\n`,
    );
  const ofPager = (status: string) => ({
    ...{ status, labels: { id: "Test-P1-r2", run: "r2", test: "yes", stack: "test" } },
    annotations: { title: "Test des alertes (P1)", code_pager: "p4g3" },
  });

  it("are read from the messages of each receiver, told apart by the test, and not from an end", async () => {
    const resolved = `${RESOLVED.trimEnd()}\nCode de ce message : zzzz\n\n`;
    const text = tested("r1", "aaaa") + tested("r2", "bbbb") + resolved;
    const arrived = [
      call("/services/T1/B1/x", 200, { attachments: [{ text: tested("r2", "cccc") }] }),
      call("/alertes/x", 200, { alerts: [ofPager("resolved")] }),
      call("/alertes/x", 200, { alerts: [ofPager("firing")] }),
    ];
    const mail = {
      ID: "tested",
      Created: "2026-11-27T20:00:03Z",
      To: [{ Address: "equipe@technicia.example" }],
    };
    vi.stubGlobal("fetch", (url: string) => {
      if (url.endsWith("message/tested")) return Promise.resolve(Response.json({ Text: text }));
      return Promise.resolve(Response.json(url.includes("/calls") ? arrived : { messages: [mail, mail] }));
    });

    expect(await readCodes(since("20:00:00"))).toEqual([
      { receiver: "team", run: "r1", code: "aaaa" },
      { receiver: "team", run: "r2", code: "bbbb" },
      { receiver: "slack", run: "r2", code: "cccc" },
      { receiver: "pager", run: "r2", code: "p4g3" },
    ]);
  });
});
