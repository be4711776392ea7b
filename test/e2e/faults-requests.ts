/** What visitors see: requests that fail, are slow, are refused, or cannot be read; by the time over which they are counted. */
import { REQUESTS, slow } from "./faults-services.ts";
import type { Fault } from "./faults.ts";
import { askWell, mixed, post, postAll } from "./faulty-workflows.ts";
import { ask, askHealth, onServer, traffic, type Traffic } from "./rehearsal.ts";

const nothing = () => Promise.resolve();

/** Enough that one slow request among them is no 5 %. */
const USUAL_REQUESTS = 200;

/** Requests of five minutes. */
export const MINUTES: readonly Fault[] = [
  {
    name: "one request takes half a minute",
    breaks: { service: "n8n", how: "slow" },
    inject: async () => {
      await askWell(USUAL_REQUESTS);
      await post("/webhook/faults-slow");
    },
    // It is over.
    repair: nothing,
    alerts: { SlowRequestCritical: "P1" },
    follows: ["SlowRequestHigh", "SlowRequestElevated"],
    endsSeconds: 300,
  },
  {
    name: "n8n answers 500",
    breaks: { service: "n8n", how: "answering 500" },
    inject: () => postAll("/webhook/faults-broken", { times: 40, status: 500 }),
    repair: nothing,
    alerts: { ErrorRateCritical: "P1" },
    endsSeconds: 300,
  },
];

let asking: Traffic | undefined;

const stopAsking = async () => {
  await asking?.stop();
  asking = undefined;
};

/** Behind what visitors ask, so that they wait. */
const slowed = (service: string, name: string): Fault => ({
  name,
  breaks: { service, how: "slow" },
  inject: async () => {
    await onServer(slow(service).inject);
    asking = traffic(askHealth);
  },
  repair: async () => {
    await onServer(slow(service).repair);
    await stopAsking();
  },
  alerts: { LatencyCritical: "P1" },
  mayFollow: ["LatencyHigh", "LatencyMedian", "LatencyTail"],
  // Until more than 5 % of the requests of five minutes were slow.
  windowSeconds: 30,
  endsSeconds: 300,
});

/** Each of its own: visitors see the same of both. */
export const SLOW: readonly (readonly Fault[])[] = [
  [slowed("vector-store", "the vector store is slow")],
  [slowed("qdrant", "Qdrant is slow")],
];

const QUARTER = { endsSeconds: 900, repair: nothing } as const;

/** A line of the gateway's, as nginx sends it, that is no JSON. */
const UNREADABLE = `python3 - <<'P'
import socket
line = b"<190>Nov 27 20:00:00 gateway: this is no JSON"
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(line, "/opt/technicia/monitoring/socket/access.sock")
P`;

/** Requests of a quarter of an hour. Those that are answered well keep the share of failed ones low. */
export const QUARTERS: readonly Fault[] = [
  {
    ...QUARTER,
    name: "questions take a minute",
    inject: async () => {
      await askWell(2 * USUAL_REQUESTS);
      await Promise.all(Array.from({ length: 5 }, () => post("/api/diagnosis-step")));
    },
    alerts: { QuestionsVerySlow: "P2" },
    follows: ["QuestionsSlow"],
  },
  {
    ...QUARTER,
    name: "questions fail",
    inject: () => postAll("/api/question", { times: 6, status: 500 }),
    alerts: { QuestionsFailing: "P2" },
  },
  {
    ...QUARTER,
    name: "uploads fail",
    inject: () => postAll("/api/upload", { times: 6, status: 500 }),
    alerts: { UploadsFailing: "P2" },
  },
  {
    ...QUARTER,
    name: "a workflow fails",
    inject: () => postAll("/webhook/faults-failing", { times: 5, status: 500 }),
    alerts: { WorkflowsFailing: "P2" },
  },
  {
    ...QUARTER,
    name: "somebody looks for holes",
    inject: async () => {
      for (let time = 0; time < 610; time += 1) await ask("/wp-login.php");
    },
    alerts: { RefusedPaths: "P3" },
  },
  {
    ...QUARTER,
    name: "a line of the access log is no JSON",
    inject: UNREADABLE,
    alerts: { UnreadableLines: "P3" },
  },
];

/** Nothing but patience causes these. */
export const PATIENT: readonly Fault[] = [
  {
    name: "3 % of the requests fail",
    inject: () => {
      asking = traffic(mixed(33));
      return nothing();
    },
    repair: stopAsking,
    alerts: { ErrorRateHigh: "P2" },
    // After half an hour, with a lower limit of the same measure.
    follows: ["ErrorRateElevated"],
    mayFollow: REQUESTS,
    windowSeconds: 60,
    endsSeconds: 300,
  },
  {
    name: "the journal is no longer sent",
    inject: "systemctl stop systemd-journal-upload.service",
    repair: "systemctl start systemd-journal-upload.service",
    alerts: { JournalSilent: "P2" },
    windowSeconds: 1800,
    endsSeconds: 60,
  },
];
