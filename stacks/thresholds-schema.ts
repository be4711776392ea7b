/** Every number that an alert or the verification of a release depends on. The defaults are the seeds', the earlier monitor's, and where those say nothing, this project's. */
import type { z } from "zod";

import { map, number, percent, whole } from "./setting-types.ts";

interface Range {
  readonly least?: number;
  readonly most?: number;
}

const limit = (value: number, description: string) =>
  percent.prefault(value).meta({ description, example: value });

const count = (
  unit: string,
  value: number,
  description: string,
  { least = 1, most = 1_000_000 }: Range = {},
) => whole(unit, { least, most }).prefault(value).meta({ description, example: value });

const minutes = (value: number, description: string) =>
  count("minutes", value, description, { least: 1, most: 1440 });

const days = (value: number, description: string) =>
  count("days", value, description, { least: 1, most: 365 });

/** Seconds or a ratio, with a fraction. */
const decimal = (unit: string, value: number, description: string) =>
  number(`expected ${unit} above 0, such as ${value}`, (given) => given > 0 && given <= 10_000)
    .prefault(value)
    .meta({ description, example: value });

const seconds = (value: number, description: string) => decimal("seconds", value, description);

const longest = number("expected seconds above 0, such as 2", (given) => given > 0 && given <= 600);

/** A number that is that of an alert unless it is given. */
const ofAlert = (kind: typeof longest | typeof percent, example: number, what: string, alert: string) =>
  kind.meta({ description: `${what}; left out, \`${alert}\`.`, example }).optional();

const levels = (what: string, { p1, p2, p3 }: Readonly<Record<"p1" | "p2" | "p3", number>>) => ({
  p1Percent: limit(p1, `P1 above this share of ${what}, in percent.`),
  p2Percent: limit(p2, `P2 above this share of ${what}, in percent.`),
  p3Percent: limit(p3, `P3 above this share of ${what}, in percent.`),
});

const requests = {
  errors: map({
    ...levels("failed requests", { p1: 5, p2: 2, p3: 1 }),
    windowMinutes: minutes(
      5,
      "Time over which the share of failed requests is measured; P1 rolls a release back.",
    ),
    p2Minutes: minutes(10, "How long the share must stay above `p2Percent`."),
    p3Minutes: minutes(30, "How long the share must stay above `p3Percent`."),
    minimumRequests: count("requests", 20, "Fewest requests in the window; with fewer, nothing is judged."),
  }),
  latency: map({
    p1P95Seconds: seconds(3, "P1 when 5 % of the answers take longer; rolls a release back."),
    p2P95Seconds: seconds(2, "P2 when 5 % of the answers take longer for `degradedMinutes`."),
    p3P50Seconds: seconds(0.5, "P3 when half of the answers take longer for `degradedMinutes`."),
    p3P99Seconds: seconds(5, "P3 when 1 % of the answers take longer for `degradedMinutes`."),
    degradedMinutes: minutes(10, "How long answers must be slow before anybody is told."),
    minimumRequests: count("requests", 20, "Fewest answers in 5 minutes; with fewer, nothing is judged."),
  }),
  slowRequests: map({
    p1Seconds: seconds(30, "P1 when a request takes longer."),
    p2Seconds: seconds(20, "P2 when a request takes longer."),
    p3Seconds: seconds(15, "P3 when a request takes longer."),
    atLeast: count("requests", 1, "How many such requests in 5 minutes it takes."),
  }),
  languageModel: map({
    p2Seconds: seconds(60, "P2 when 5 % of a language model's answers take longer."),
    p3Seconds: seconds(30, "P3 when 5 % of a language model's answers take longer."),
    failedPercent: limit(10, "P2 above this share of failed questions in 15 minutes, in percent."),
    minimumRequests: count("questions", 5, "Fewest questions in 15 minutes; with fewer, nothing is judged."),
    unsourcedPercent: limit(30, "P3 above this share of answers without a source in an hour, in percent."),
    minimumAnswers: count("answers", 20, "Fewest answers in an hour for the share without a source."),
  }),
  uploads: map({
    p3Seconds: seconds(300, "P3 when 5 % of the uploads take longer."),
    failedPercent: limit(10, "P2 above this share of failed uploads in 15 minutes, in percent."),
    minimumRequests: count("uploads", 5, "Fewest uploads in 15 minutes; with fewer, nothing is judged."),
  }),
  retries: map({
    count: count(
      "requests",
      2,
      "P2 when the gateway had to send more requests than this a second time, in 5 minutes.",
    ),
  }),
  traffic: map({
    factor: decimal(
      "a factor",
      3,
      "Information when there are this many times the requests of the same hour on other days.",
    ),
    minimumRequests: count("requests", 500, "Fewest requests in 5 minutes that can be unusual."),
  }),
};

const services = {
  health: map({
    consecutiveFailures: count("failures", 3, "P1 when more health checks than this fail in a row.", {
      most: 40,
    }),
    downMinutes: minutes(2, "P1 when a health check fails for this long; rolls a release back."),
  }),
  restarts: map({
    count: count("restarts", 2, "P1 when a service starts again more often than this; rolls a release back."),
    minutes: minutes(15, "Time over which the restarts are counted."),
  }),
  criticalErrors: map({
    perMinute: count(
      "lines",
      10,
      "P1 above this many errors in the services' logs in a minute; rolls a release back.",
    ),
    perService: count("lines", 20, "P3 above this many errors of one service in 15 minutes."),
  }),
  containerMemory: map(levels("a container's memory limit", { p1: 80, p2: 70, p3: 60 })),
  n8n: map({
    failedExecutions: count("executions", 3, "P2 above this many failed executions.", { least: 0 }),
    minutes: minutes(15, "Time over which failed executions are counted."),
  }),
  neighbours: map({
    silentMinutes: count("minutes", 5, "P1 when a neighbour has not said for this long that it lives.", {
      least: 3,
      most: 60,
    }),
  }),
};

const host = {
  memory: map({
    ...levels("the server's memory", { p1: 80, p2: 70, p3: 60 }),
    p1Minutes: minutes(5, "How long the memory must stay above `p1Percent`."),
    p2Minutes: minutes(15, "How long the memory must stay above `p2Percent`."),
    p3Minutes: minutes(30, "How long the memory must stay above `p3Percent`."),
    alertPercent: limit(90, "P2 above this share of the server's memory for `p1Minutes`, in percent."),
    targetPercent: limit(85, "P3 above this share of the server's memory: a release is measured against it."),
    warningAvailableMib: count("MiB", 1024, "P3 when less memory is available, in MiB."),
    criticalAvailableMib: count("MiB", 512, "P1 when less memory is available, in MiB."),
  }),
  cpu: map({
    percent: limit(80, "P2 above this share of all cores, in percent."),
    minutes: minutes(10, "How long the cores must be busy."),
    warningLoad: decimal("a load for each core", 1, "P3 above this load for each core, over 5 minutes."),
    criticalLoad: decimal("a load for each core", 1.5, "P2 above this load for each core, over 5 minutes."),
  }),
  disk: map({
    freePercent: limit(20, "P2 when less of a disk is free, in percent."),
    warningUsedPercent: limit(80, "P3 when more of a disk is used, in percent."),
    criticalUsedPercent: limit(90, "P1 when more of a disk is used, in percent."),
    fullWithinHours: count(
      "hours",
      24,
      "P2 when a disk is full within this time if it goes on like the last 6 hours.",
    ),
    inodesFreePercent: limit(10, "P2 when fewer of a disk's inodes are free, in percent."),
  }),
  clock: map({ offsetMs: count("milliseconds", 500, "P3 when the server's clock is off by more.") }),
  patches: map({
    securityDays: days(7, "P3 when a security patch has been waiting for this long."),
    rebootDays: days(14, "P3 when the server has needed a restart for this long."),
  }),
};

const records = {
  certificate: map({
    p1Days: days(2, "P1 when the certificate is valid for fewer days."),
    p2Days: days(7, "P2 when the certificate is valid for fewer days."),
    p3Days: days(14, "P3 when the certificate is valid for fewer days."),
  }),
  backups: map({
    missed: count(
      "backups",
      2,
      "P2 when this many backups in a row are missing; P1 follows from `backup.maxAgeHours`.",
      {
        most: 100,
      },
    ),
  }),
  drills: map({ overdueDays: days(2, "P3 when a drill is late by this many days.") }),
  drift: map({
    findings: count("differences", 0, "P3 above this many differences from the settings.", { least: 0 }),
    checkHours: count("hours", 26, "P3 when the last check for differences is older.", { most: 720 }),
  }),
};

const monitoring = {
  security: map({
    sshFailuresPerHour: count("logins", 20, "P3 above this many failed ssh logins in an hour."),
    editorFailuresPerHour: count(
      "logins",
      10,
      "P3 above this many failed logins to n8n's editor in an hour.",
    ),
    refusedPer15Minutes: count(
      "requests",
      // A verification asks for about 170 closed paths, a deployment and its rollback for twice as many.
      600,
      "P3 above this many refused requests (401, 403, 404, 429) in 15 minutes.",
    ),
  }),
  logs: map({
    linesPerMinute: count("lines", 3000, "P3 when a service or a unit writes more lines in a minute."),
    unreadableLines: count(
      "lines",
      0,
      "P3 above this many access lines in 15 minutes that nobody can read.",
      {
        least: 0,
      },
    ),
    silentMinutes: minutes(30, "P2 when neither containers nor the server write a line for this long."),
  }),
  collector: map({
    silentMinutes: minutes(2, "P2 when the collector of the server's metrics is silent for this long."),
    seconds: count("seconds", 10, "P3 when a round of the collector takes longer, in seconds.", {
      most: 600,
    }),
  }),
  ownHealth: map({
    downMinutes: minutes(1, "How long a program of the monitoring may not answer."),
    failures: count(
      "failures",
      0,
      "Above this many failed rules or messages in a minute, for two minutes, somebody is told; the same of lost lines in 5 minutes.",
      {
        least: 0,
      },
    ),
  }),
};

/** Of a release alone; what is left out is the number of the alert. */
const release = map({
  errorPercent: ofAlert(
    percent,
    5,
    "Largest share of failed requests under load, in percent",
    "errors.p3Percent",
  ),
  p50Seconds: ofAlert(longest, 1, "Longest time of half of the answers", "latency.p3P50Seconds"),
  p95Seconds: ofAlert(longest, 3, "Longest time of 95 % of the answers", "latency.p2P95Seconds"),
  p99Seconds: ofAlert(longest, 10, "Longest time of 99 % of the answers", "latency.p3P99Seconds"),
  requestsPerSecond: count(
    "requests a second",
    100,
    "Least throughput of pages and health checks; a language model's answers do not count.",
    { most: 100_000 },
  ),
  loadSeconds: count("seconds", 30, "How long the load lasts.", { most: 600 }),
  certificateDays: days(
    10,
    "Fewest days for which the certificate is still valid. It is renewed when a third of its life is left.",
  ),
  diskFreePercent: ofAlert(
    percent,
    10,
    "Least share of the disk that is free, in percent",
    "disk.freePercent",
  ),
  memoryUsedPercent: ofAlert(
    percent,
    90,
    "Largest share of the memory that is used, in percent",
    "memory.targetPercent",
  ),
  rollbackSeconds: count("seconds", 300, "Longest time that a rollback may take.", { most: 3600 }),
  searchSeconds: seconds(1, "Longest time of the search for a question's passages."),
  questionSeconds: seconds(3, "Longest time of an answer, without the language model's."),
  hundredPagesSeconds: seconds(
    120,
    "Longest time until 100 pages can be asked about; a document has its share of it.",
  ),
  indexingStartSeconds: seconds(10, "What any document may take besides that share, however short it is."),
}).meta({ description: "What the verification measures a release against.", affects: "verification" });

export const thresholds = map({
  ...requests,
  ...services,
  ...host,
  ...records,
  ...monitoring,
  release,
}).meta({
  description:
    "Every number that an alert or a verification depends on; docs/alerts.md says what each alert means.",
  affects: "monitoring",
});

export type Thresholds = z.output<typeof thresholds>;

/** Those of the alerts. */
export function alertThresholds({ release: _, ...others }: Thresholds): Omit<Thresholds, "release"> {
  return others;
}
