/** What people have been told of alerts: the messages that arrived at the rehearsal's mail server, Slack, pager and PagerDuty. */
import { MAIL_API } from "../mail.ts";
import { WEBHOOKS_API } from "../webhooks.ts";

/** Who is told, by the name of its receiver in Alertmanager's routes; the levels are those of the escalation. */
export type Receiver = "team" | "slack" | "pager" | "pagerduty" | "N1" | "N2" | "N3" | "N4";

/** One alert in one message. */
export interface Told {
  readonly receiver: Receiver;

  /** When the message arrived, in milliseconds since 1970; all doubles have this machine's clock. */
  readonly at: number;

  readonly status: "firing" | "resolved";

  /** Label `id` of the alert: `ServiceDown-n8n`. Of an end it is known only where its beginning was told to Slack, or read before. */
  readonly id: string;

  readonly title: string;

  /** The environment that tells it. */
  readonly stack: string;
}

/** Mailboxes of the rehearsal's settings: the part before the @ → who reads it. */
const MAILBOXES: Readonly<Record<string, Receiver>> = {
  equipe: "team",
  astreinte: "N1",
  responsable: "N2",
  technique: "N3",
  direction: "N4",
};

/** Newest messages that are looked at. */
const MOST_MESSAGES = 500;

/** As the template `technicia.text` writes an alert. */
const FIRING =
  /(?<title>[^\n]+)\n\nOù : (?<where>[^\n]+)\nDepuis : [^\n]+\nGravité : [^\n]+\n(?:[^\n]+\n)+?S'en charger : npm run alerts -- \S+ ack '(?<id>[^'\n]+)'/g;
const RESOLVED = /Résolu : (?<title>[^\n]+)\n\nOù : (?<where>[^\n]+)\nDepuis : [^\n]+\nFin : /g;

interface Message {
  readonly receiver: Receiver;
  readonly at: number;
  readonly text: string;
}

/** Title and place of an alert → its id, which the message of its end leaves out. */
const known = new Map<string, string>();

/**
 * Title → name of the rule. An end may come of what nobody was told of, because another alert explained it all the time: Alertmanager puts it
 * into the next message of its group.
 */
const names = new Map<string, string>();

const isTaken = (status: number) => status === 200 || status === 202;

/** Everything that arrived since then, the oldest first; `mail: false` where the mail server cannot be asked. */
export async function readTold(since: number, { mail = true } = {}): Promise<Told[]> {
  const [mails, calls] = await Promise.all([mail ? readMails(since) : [], readCalls()]);
  const recent = calls.filter(({ status, time }) => isTaken(status) && Date.parse(time) >= since);
  const texts = [...mails, ...recent.flatMap(readSlack), ...recent.flatMap(readPagerDuty)];
  // Of the beginnings first: an end is told apart by what its beginning said, which may have been long before.
  for (const message of calls.flatMap(readSlack)) readBlocks(message, "firing");
  const begun = texts.flatMap((message) => readBlocks(message, "firing"));
  const ended = texts.flatMap((message) => readBlocks(message, "resolved"));
  return [...begun, ...ended, ...recent.flatMap(readPager)].sort((one, other) => one.at - other.at);
}

/** A code of `alerts -- <stack> test`, as whoever got the message reads it. */
export interface Code {
  readonly receiver: Receiver;

  /** Tells one test from another. */
  readonly run: string;
  readonly code: string;
}

const CODE = /ack 'Test-\w+-(?<run>\w+)'[^\n]*\nCode de ce message : (?<code>\w+)/g;

/** Codes of tests that arrived since then, once for each receiver and test. */
export async function readCodes(since: number): Promise<Code[]> {
  const [mails, calls] = await Promise.all([readMails(since), readCalls()]);
  const recent = calls.filter(({ status, time }) => isTaken(status) && Date.parse(time) >= since);
  const texts = [...mails, ...recent.flatMap(readSlack), ...recent.flatMap(readPagerDuty)];
  const found = texts.flatMap(({ receiver, text }) =>
    [...text.matchAll(CODE)].map(({ groups: { run = "", code = "" } = {} }) => ({ receiver, run, code })),
  );
  const all = [...found, ...recent.flatMap(readPagerCodes)];
  return all.filter(
    (one, at) => all.findIndex(({ receiver, run }) => receiver === one.receiver && run === one.run) === at,
  );
}

function readPagerCodes({ path, body }: Call): Code[] {
  if (!path.startsWith("/alertes/")) return [];
  const { alerts = [] } = body as Page;
  return alerts.flatMap(({ status, labels: { run }, annotations: { code_pager: code } }) =>
    status === "firing" && run !== undefined && code !== undefined ? [{ receiver: "pager", run, code }] : [],
  );
}

function readBlocks({ receiver, at, text }: Message, status: Told["status"]): Told[] {
  const pattern = status === "firing" ? FIRING : RESOLVED;
  return [...text.matchAll(pattern)].map(({ groups = {} }) => {
    const { title = "", where = "" } = groups;
    const place = `${title}\n${where}`;
    if (groups["id"] !== undefined) {
      known.set(place, groups["id"]);
      names.set(title, groups["id"].split("-")[0] ?? "");
    }
    return {
      receiver,
      at,
      status,
      title,
      id: known.get(place) ?? `${names.get(title) ?? "?"}-? ${title}`,
      stack: where.split(", ")[0] ?? "",
    };
  });
}

interface MailSummary {
  readonly ID: string;
  readonly Created: string;
  readonly To: readonly { readonly Address: string }[];
}

/** Messages by id: one never changes. */
const mailTexts = new Map<string, Promise<string>>();

async function readMails(since: number): Promise<Message[]> {
  const { messages } = await get<{ messages: readonly MailSummary[] }>(
    `${MAIL_API}/api/v1/messages?limit=${MOST_MESSAGES}`,
  );
  const recent = messages.filter(({ Created }) => Date.parse(Created) >= since);
  return await Promise.all(
    recent.map(async ({ ID, Created, To }) => {
      const text = mailTexts.get(ID) ?? readMailText(ID);
      mailTexts.set(ID, text);
      return { receiver: mailboxOf(To), at: Date.parse(Created), text: await text };
    }),
  );
}

function mailboxOf(to: MailSummary["To"]): Receiver {
  const address = to[0]?.Address ?? "";
  const receiver = MAILBOXES[address.split("@")[0] ?? ""];
  if (receiver === undefined)
    throw new Error(`mail: expected one to ${Object.keys(MAILBOXES).join(", ")}, got one to ${address}`);
  return receiver;
}

async function readMailText(id: string): Promise<string> {
  const { Text } = await get<{ Text: string }>(`${MAIL_API}/api/v1/message/${id}`);
  return Text.replaceAll("\r\n", "\n");
}

/** A request that the webhooks' double took. */
export interface Call {
  readonly time: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly body: unknown;
}

/** Of Slack, the pager, and whatever else was given an address there; refused ones as well. */
export async function readCalls(): Promise<readonly Call[]> {
  return await get<readonly Call[]>(`${WEBHOOKS_API}/calls?api=webhooks`);
}

/** Whether it is Slack's address. */
export const isSlack = ({ path }: Pick<Call, "path">): boolean => path.startsWith("/services/");

function readSlack(call: Call): Message[] {
  if (!isSlack(call)) return [];
  const { attachments = [] } = call.body as { attachments?: readonly { text?: string }[] };
  const at = Date.parse(call.time);
  return attachments.map(({ text = "" }) => ({ receiver: "slack", at, text }));
}

/** An event of PagerDuty has the text of a mail. */
function readPagerDuty({ path, time, body }: Call): Message[] {
  if (path !== "/v2/enqueue") return [];
  const { payload } = body as { payload: { custom_details: { message: string } } };
  return [{ receiver: "pagerduty", at: Date.parse(time), text: payload.custom_details.message }];
}

/** Alertmanager's own JSON. */
interface Page {
  readonly alerts?: readonly {
    readonly status: Told["status"];
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

function readPager({ path, time, body }: Call): Told[] {
  if (!path.startsWith("/alertes/")) return [];
  const { alerts = [] } = body as Page;
  return alerts.map(({ status, labels, annotations }) => ({
    receiver: "pager",
    at: Date.parse(time),
    status,
    id: labels["id"] ?? labels["alertname"] ?? "?",
    title: annotations["title"] ?? "",
    stack: labels["stack"] ?? "",
  }));
}

async function get<T>(url: string): Promise<T> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new Error(`${url}: expected 200, got ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}
