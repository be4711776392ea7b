/** For each rule on logs, lines just below its threshold, and lines just above it. */

/** One line as the log store has it; `ago` is its age in seconds. */
export interface Line {
  readonly ago: number;
  readonly fields: Readonly<Record<string, string>>;
}

export interface LogCase {
  readonly below: readonly Line[];
  readonly above: readonly Line[];

  /** Of a rule that judges a share or a time only of so many lines: the least number, and the worst line. */
  readonly sample?: { readonly least: number; readonly line: Line };
}

interface Request {
  readonly uri?: string;
  readonly status?: number;
  readonly seconds?: number;
  readonly upstream?: string;
  readonly ago?: number;
}

/** As the gateway writes a request. */
function request({ uri = "/api/start-diagnosis", status = 200, seconds = 0.1, ...rest }: Request): Line {
  const { upstream = "172.31.1.4:5678", ago = 20 } = rest;
  const line = {
    ...{
      time: "2026-11-27T10:00:00+01:00",
      id: "5f1c",
      remote: "198.51.100.7",
      host: "technicia.exemple.fr",
    },
    ...{ method: "POST", uri, status, bytes: 10, seconds, upstream },
  };
  return { ago, fields: { app_name: "gateway", _msg: JSON.stringify(line) } };
}

export const times = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item);

/** So many requests of one kind, and so many others that are fine. */
const among = (count: number, odd: Request, fine: number, others: Request = {}): Line[] => [
  ...times(count, request(odd)),
  ...times(fine, request(others)),
];

const container = (alias: string, message: string, ago = 20): Line => ({
  ago,
  fields: { CONTAINER_TAG: alias, _SYSTEMD_UNIT: "docker.service", _msg: message },
});

const FAILED: Request = { status: 502 };
const FAILING = { least: 20, line: request(FAILED) };
const CRAWLING = { least: 20, line: request({ seconds: 10 }) };
const QUESTION: Request = { uri: "/api/question", seconds: 5 };
const UPLOAD: Request = { uri: "/api/upload", seconds: 60 };

/** Slow ones of twenty: an upload, a question and a web socket are not among them. */
const slow = (count: number, seconds: number, of = 20): Line[] => [
  ...among(count, { seconds }, of - count),
  request({ ...UPLOAD, seconds: 300 }),
  request({ ...QUESTION, seconds: 50 }),
  request({ uri: "/rest/push", status: 101, seconds: 3600 }),
];

const ssh = (message: string): Line => ({
  ago: 600,
  fields: { SYSLOG_IDENTIFIER: "sshd-session", _SYSTEMD_UNIT: "ssh.service", _msg: message },
});
const REFUSED = ssh("Connection closed by authenticating user debian 198.51.100.9 port 40000 [preauth]");
const ACCEPTED = ssh("Accepted publickey for debian from 198.51.100.7 port 40000 ssh2: ED25519 SHA256:abc");

/** As n8n writes what a Code node logs. */
const logged = (workflow: string, node: string, what: object) =>
  container("n8n", `[Workflow "${workflow}"][Node "${node}"] ${JSON.stringify(what)}`, 600);
const answer = (sources: number) => logged("technicia-question", "Rédiger", { event: "answer", sources });

const sign = (uri: string, status: number): Line => request({ uri, status, ago: 60 });

export const LOG_CASES: Readonly<Record<string, LogCase>> = {
  // 100 requests of five minutes, and signs of life, which are nobody's requests.
  ErrorRateCritical: {
    below: [...among(5, FAILED, 95), ...times(50, sign("/deadman/staging", 503))],
    above: [...among(6, FAILED, 94), ...times(50, sign("/deadman/staging", 204))],
    sample: FAILING,
  },
  ErrorRateHigh: {
    below: among(2, FAILED, 98),
    above: among(3, FAILED, 97),
    sample: FAILING,
  },
  ErrorRateElevated: {
    below: among(1, FAILED, 99),
    above: among(2, FAILED, 98),
    sample: FAILING,
  },
  LatencyCritical: {
    below: slow(2, 2.9),
    above: slow(2, 3.1),
    sample: CRAWLING,
  },
  LatencyHigh: {
    below: slow(2, 1.9),
    above: slow(2, 2.1),
    sample: CRAWLING,
  },
  LatencyMedian: {
    below: slow(12, 0.49),
    above: slow(12, 0.51),
    sample: CRAWLING,
  },
  LatencyTail: {
    below: slow(1, 4.9),
    above: slow(1, 5.1),
    sample: CRAWLING,
  },
  SlowRequestCritical: { below: slow(1, 30), above: slow(1, 30.1) },
  SlowRequestHigh: { below: slow(1, 20), above: slow(1, 20.1) },
  SlowRequestElevated: { below: slow(1, 15), above: slow(1, 15.1) },
  QuestionsVerySlow: {
    below: times(5, request({ ...QUESTION, seconds: 59 })),
    above: times(5, request({ ...QUESTION, seconds: 61 })),
    sample: { least: 5, line: request({ ...QUESTION, seconds: 61 }) },
  },
  QuestionsSlow: {
    below: times(5, request({ ...QUESTION, seconds: 29 })),
    above: times(5, request({ ...QUESTION, seconds: 31 })),
    sample: { least: 5, line: request({ ...QUESTION, seconds: 31 }) },
  },
  QuestionsFailing: {
    below: [...among(1, { ...QUESTION, ...FAILED }, 9, QUESTION), ...times(9, request(FAILED))],
    above: among(2, { ...QUESTION, ...FAILED }, 9, QUESTION),
    sample: { least: 5, line: request({ ...QUESTION, ...FAILED }) },
  },
  UploadsSlow: {
    below: times(5, request({ ...UPLOAD, seconds: 299 })),
    above: times(5, request({ ...UPLOAD, seconds: 301 })),
    sample: { least: 5, line: request({ ...UPLOAD, seconds: 301 }) },
  },
  UploadsFailing: {
    below: [...among(1, { ...UPLOAD, ...FAILED }, 9, UPLOAD), ...times(9, request(FAILED))],
    above: among(2, { ...UPLOAD, ...FAILED }, 9, UPLOAD),
    sample: { least: 5, line: request({ ...UPLOAD, ...FAILED }) },
  },
  RequestsRetried: {
    below: times(2, request({ upstream: "172.31.1.4:5678, 172.31.1.5:5678" })),
    above: times(3, request({ upstream: "172.31.1.4:5678, 172.31.1.5:5678" })),
  },
  RefusedPaths: {
    below: among(600, { uri: "/wp-login.php", status: 404 }, 10),
    above: among(601, { uri: "/wp-login.php", status: 404 }, 10),
  },
  EditorLoginsFailing: {
    below: [...among(10, { uri: "/rest/login", status: 401 }, 5, { uri: "/rest/login" })],
    above: times(11, request({ uri: "/rest/login", status: 401 })),
  },
  NeighbourSilent: {
    below: [sign("/deadman/staging", 204)],
    // Another neighbour's, one without the right token, and one that is too old.
    above: [
      sign("/deadman/test", 204),
      sign("/deadman/staging", 401),
      request({ uri: "/deadman/staging", status: 204, ago: 125 }),
    ],
  },
  UnreadableLines: {
    below: [request({})],
    above: [request({}), { ago: 600, fields: { app_name: "gateway", _msg: '{"time":"2026-11-27T10:0' } }],
  },
  CriticalErrors: {
    below: [
      ...times(5, container("n8n", '{"level":"error","message":"connect ECONNREFUSED"}')),
      ...times(5, container("vector-store", "ERROR:    Exception in ASGI application")),
      // Neither of a service that counts, nor an error, nor of this minute.
      ...times(5, container("gateway", "2026/11/27 10:00:00 [error] 29#29: FATAL")),
      ...times(5, container("vector-store", "INFO:     0 errors, terrors and ERRORS found")),
      ...times(5, container("n8n", "ERROR", 65)),
    ],
    above: [
      ...times(4, container("n8n", '{"level": "error","message":"connect ECONNREFUSED"}')),
      ...times(3, container("vector-store", "ERROR:    Exception in ASGI application")),
      ...times(2, container("qdrant", "2026-11-27T10:00:00Z ERROR qdrant::startup: Panic occurred")),
      container(
        "postgres",
        '2026-11-27 10:00:00 UTC [71] FATAL:  password authentication failed for user "n8n"',
      ),
      container("document-processor", "ValueError: expected a PDF"),
    ],
  },
  ServiceErrors: {
    below: [...times(20, container("n8n", "ERROR", 600)), ...times(20, container("qdrant", "ERROR", 600))],
    above: [...times(21, container("n8n", "ERROR", 600)), ...times(20, container("qdrant", "ERROR", 600))],
  },
  LogFlood: {
    below: [...times(3000, container("n8n", "a line")), ...times(3000, ssh("a line")).map(recent)],
    above: [...times(3000, container("n8n", "a line")), ...times(3001, ssh("a line")).map(recent)],
  },
  JournalSilent: {
    below: [container("n8n", "a line", 29 * 60)],
    // Lines of requests come another way.
    above: [container("n8n", "a line", 31 * 60), request({})],
  },
  SshLoginsFailing: {
    below: [...times(20, REFUSED), ...times(20, ACCEPTED)],
    above: [...times(20, REFUSED), ssh("Failed password for root from 198.51.100.9 port 40000 ssh2")],
  },
  AnswersWithoutSource: {
    below: [...times(6, answer(0)), ...times(14, answer(2))],
    above: [...times(7, answer(0)), ...times(13, answer(2))],
    sample: { least: 20, line: answer(0) },
  },
};

function recent(line: Line): Line {
  return { ...line, ago: 20 };
}
