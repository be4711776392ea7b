/** For each rule on metrics, samples just below its threshold, and samples just above it. */
import { monitoringFacts } from "./facts.ts";

/** Samples of one series, oldest first: seconds ago, and the value. */
export type Samples = readonly (readonly [secondsAgo: number, value: number])[];

/** Series as the exposition format names it → its samples. */
export type SeriesSet = Readonly<Record<string, Samples>>;

export interface MetricCase {
  readonly below: SeriesSet;
  readonly above: SeriesSet;

  /** Other series for which it fires as well. */
  readonly alsoAbove?: readonly SeriesSet[];

  /** Other series for which it is quiet. */
  readonly alsoBelow?: readonly SeriesSet[];
}

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Moment at which the rules are evaluated, in seconds since 1970. */
export const NOW = Math.floor(Date.now() / 1000) - 30;

/** The same value for some time, by default ten minutes, every 15 seconds. */
const steady = (value: number, seconds = 10 * MINUTE, step = 15): Samples =>
  line(value, value, seconds, step);

/** From one value to another. */
function line(from: number, to: number, seconds: number, step = 15): Samples {
  const count = Math.round(seconds / step);
  return Array.from({ length: count + 1 }, (_, index) => [
    (count - index) * step,
    from + ((to - from) * index) / count,
  ]);
}

/** Values 15 seconds apart, the last one now. */
const last = (...values: readonly number[]): Samples =>
  values.map((value, index) => [(values.length - 1 - index) * 15, value]);

/** A value, and another since some seconds. */
const changed = (before: number, after: number, secondsAgo: number): Samples =>
  steady(before, 10 * MINUTE).map(([ago, value]) => [ago, ago < secondsAgo ? after : value]);

/** So many different values of a time at which a task started. */
const starts = (count: number): Samples =>
  Array.from({ length: 40 }, (_, index) => [(39 - index) * 20, Math.min(index, count)]);

const PUBLIC = 'probe_success{job="public"}';
const N8N = 'probe_success{job="inside",service="n8n"}';
const VECTOR_STORE = 'probe_success{job="inside",service="vector-store"}';

const memory = (usedPercent: number): SeriesSet => ({
  node_memory_MemTotal_bytes: steady(8 * GIB),
  node_memory_MemAvailable_bytes: steady(8 * GIB * (1 - usedPercent / 100)),
});
const available = (mib: number): SeriesSet => ({ node_memory_MemAvailable_bytes: steady(mib * MIB) });
const containerMemory = (percent: number): SeriesSet => ({
  'technicia_container_memory_working_set_bytes{service="n8n"}': steady(percent * MIB),
  'technicia_container_memory_limit_bytes{service="n8n"}': steady(100 * MIB),
  // Without a limit there is no share.
  'technicia_container_memory_working_set_bytes{service="gateway"}': steady(percent * MIB),
  'technicia_container_memory_limit_bytes{service="gateway"}': steady(0),
});
const load = (perCore: number): SeriesSet => ({
  node_load5: steady(2 * perCore),
  'node_cpu_seconds_total{cpu="0",mode="idle"}': steady(1),
  'node_cpu_seconds_total{cpu="1",mode="idle"}': steady(1),
});
const DISK = '{device="/dev/sda1",fstype="ext4",mountpoint="/"}';
const FULL_BOOT = '{device="/dev/sda15",fstype="vfat",mountpoint="/boot/efi"}';
const disk = (freePercent: number): SeriesSet => ({
  [`node_filesystem_avail_bytes${DISK}`]: steady(freePercent * GIB),
  [`node_filesystem_size_bytes${DISK}`]: steady(100 * GIB),
  [`node_filesystem_avail_bytes${FULL_BOOT}`]: steady(0),
  [`node_filesystem_size_bytes${FULL_BOOT}`]: steady(GIB),
});
const inodes = (freePercent: number): SeriesSet => ({
  [`node_filesystem_files_free${DISK}`]: steady(freePercent * 1000),
  [`node_filesystem_files${DISK}`]: steady(100_000),
});
/** The visitors' certificate and the server's own: the one that ends first counts. */
const certificate = (days: number): SeriesSet => ({
  'probe_ssl_earliest_cert_expiry{job="public"}': steady(NOW + 60 * DAY),
  technicia_certificate_not_after_timestamp_seconds: steady(NOW + days * DAY),
});
/** By the names that the certificate is for. */
const served = (names: string): SeriesSet => ({
  [`probe_ssl_last_chain_info{job="public",fingerprint_sha256="5f1c",subjectalternative="${names}"}`]:
    steady(1),
});
const ago = (metric: string, seconds: number): SeriesSet => ({ [metric]: steady(NOW - seconds) });

/** Grows by so much, at once, by default four minutes ago. */
const grown = (series: string, by: number, secondsAgo = 4 * MINUTE): SeriesSet => ({
  [series]: changed(100, 100 + by, secondsAgo),
});

const up = (jobs: Readonly<Record<string, number>>): SeriesSet =>
  Object.fromEntries(Object.entries(jobs).map(([job, value]) => [`up{job="${job}"}`, steady(value)]));

const ALL_UP = { metrics: 1, logs: 1, "metric-rules": 1, "log-rules": 1, alerts: 1, probes: 1, n8n: 1 };
const ALL_TARGETS = { ...ALL_UP, qdrant: 1, inside: 1, public: 1 };

/** The same hour of seven days, and five minutes now. */
const traffic = (now: number, usual = 200): SeriesSet => ({
  'gateway{group="all",stats_result="requests"}': [
    ...[7, 6, 5, 4, 3, 2, 1].flatMap((day) =>
      [0, 300, 600].map((offset): [number, number] => [day * DAY - offset, usual]),
    ),
    ...last(now, now),
  ],
});

const DOCKER_IS_READ: SeriesSet = { 'technicia_collector_up{source="docker"}': steady(1) };

const allRunning = (): Record<string, Samples> =>
  Object.fromEntries(
    monitoringFacts().services.flatMap((service) => [
      [`technicia_service_desired{service="${service}"}`, steady(1)],
      [`technicia_service_running{service="${service}"}`, steady(1)],
    ]),
  );

const SITE: Readonly<Record<string, MetricCase>> = {
  SiteDown: {
    below: { [PUBLIC]: last(0, 0, 1) },
    above: { [PUBLIC]: last(1, 1, 0) },
  },
  ServiceDown: {
    below: { [N8N]: last(0, 0, 1), [VECTOR_STORE]: last(1, 1, 1), [PUBLIC]: last(0, 0, 0) },
    above: { [N8N]: last(1, 1, 0), [VECTOR_STORE]: last(1, 1, 1), [PUBLIC]: last(1, 1, 1) },
  },
  HealthFailing: {
    below: { [PUBLIC]: last(0, 1), [N8N]: last(0, 1) },
    above: { [PUBLIC]: last(1, 1), [N8N]: last(1, 0) },
  },
  ServiceNotRunning: {
    below: {
      'technicia_service_desired{service="n8n-runners"}': steady(1),
      'technicia_service_running{service="n8n-runners"}': steady(1),
      'technicia_service_desired{service="metrics"}': steady(1),
      'technicia_service_running{service="metrics"}': steady(0),
    },
    above: {
      'technicia_service_desired{service="n8n-runners"}': steady(1),
      'technicia_service_running{service="n8n-runners"}': steady(0),
    },
    alsoAbove: [
      // Scaled down by hand: Docker wants none either.
      {
        'technicia_service_desired{service="n8n-runners"}': steady(0),
        'technicia_service_running{service="n8n-runners"}': steady(0),
      },
      // Removed by hand.
      { ...without(allRunning(), 'technicia_service_desired{service="n8n-runners"}'), ...DOCKER_IS_READ },
    ],
    alsoBelow: [{ ...allRunning(), ...DOCKER_IS_READ }],
  },
  CrashLoop: {
    below: { 'technicia_task_started_timestamp_seconds{service="n8n",spec="a"}': starts(2) },
    // Updates are no restarts.
    alsoBelow: [
      {
        'technicia_task_started_timestamp_seconds{service="n8n",spec="a"}': starts(2),
        'technicia_task_started_timestamp_seconds{service="n8n",spec="b"}': starts(2),
      },
    ],
    above: { 'technicia_task_started_timestamp_seconds{service="n8n",spec="a"}': starts(3) },
  },
  OutOfMemory: {
    below: grown('technicia_container_oom_kills_total{service="n8n"}', 0),
    above: grown('technicia_container_oom_kills_total{service="n8n"}', 1),
  },
  NeighbourDown: {
    below: { 'probe_success{job="neighbour",stack="staging"}': last(0, 1) },
    above: { 'probe_success{job="neighbour",stack="staging"}': last(1, 0) },
  },
  // Of few requests none are unusual, however many more than usual.
  UnusualTraffic: {
    below: traffic(600),
    above: traffic(601),
    alsoBelow: [traffic(500, 1)],
    alsoAbove: [traffic(501, 1)],
  },
};

const SERVER: Readonly<Record<string, MetricCase>> = {
  HostMemoryCritical: { below: memory(79.9), above: memory(80.1) },
  HostMemoryHigh: { below: memory(69.9), above: memory(70.1) },
  HostMemoryExhausted: { below: memory(89.9), above: memory(90.1) },
  HostMemoryElevated: { below: memory(59.9), above: memory(60.1) },
  HostMemoryAboveTarget: { below: memory(84.9), above: memory(85.1) },
  AvailableMemoryCritical: { below: available(513), above: available(511) },
  AvailableMemoryLow: { below: available(1025), above: available(1023) },
  ServiceMemoryCritical: { below: containerMemory(79.9), above: containerMemory(80.1) },
  ServiceMemoryHigh: { below: containerMemory(69.9), above: containerMemory(70.1) },
  ServiceMemoryElevated: { below: containerMemory(59.9), above: containerMemory(60.1) },
  CpuHigh: {
    below: { 'node_cpu_seconds_total{cpu="0",mode="idle"}': line(0, 0.21 * 600, 600) },
    above: { 'node_cpu_seconds_total{cpu="0",mode="idle"}': line(0, 0.19 * 600, 600) },
  },
  LoadCritical: { below: load(1.49), above: load(1.51) },
  LoadHigh: { below: load(0.99), above: load(1.01) },
  DiskCritical: { below: disk(10.1), above: disk(9.9) },
  DiskFreeLow: { below: disk(20.1), above: disk(19.9) },
  DiskWarning: { below: disk(20.1), above: disk(19.9) },
  DiskFullSoon: {
    // Five GiB an hour: in 24 hours, 120 GiB.
    below: { [`node_filesystem_avail_bytes${DISK}`]: line(151 * GIB, 121 * GIB, 6 * HOUR, 60) },
    above: { [`node_filesystem_avail_bytes${DISK}`]: line(149 * GIB, 119 * GIB, 6 * HOUR, 60) },
  },
  InodesLow: { below: inodes(10.1), above: inodes(9.9) },
  UnitFailed: {
    below: { 'technicia_unit_failed{unit="technicia-certificate.service"}': steady(0) },
    above: { 'technicia_unit_failed{unit="technicia-certificate.service"}': steady(1) },
  },
  ClockUnsynchronised: {
    below: { node_timex_sync_status: steady(1) },
    above: { node_timex_sync_status: steady(0) },
  },
  ClockOffset: {
    below: { node_timex_offset_seconds: steady(-0.499) },
    above: { node_timex_offset_seconds: steady(-0.501) },
  },
  PatchesPending: {
    below: {
      technicia_patches_security: [...steady(0, HOUR).map(older(6 * DAY)), ...steady(2, 8 * DAY, HOUR)],
    },
    above: { technicia_patches_security: steady(2, 8 * DAY, 5 * MINUTE) },
  },
  RebootPending: {
    below: { technicia_reboot_required: steady(1, 13 * DAY, 5 * MINUTE) },
    above: { technicia_reboot_required: steady(1, 15 * DAY, 5 * MINUTE) },
  },
};

function older(seconds: number) {
  return ([secondsAgo, value]: readonly [number, number]): [number, number] => [secondsAgo + seconds, value];
}

const RECORDS: Readonly<Record<string, MetricCase>> = {
  CertificateExpired: { below: certificate(0.01), above: certificate(-0.01) },
  CertificateExpiresNow: { below: certificate(2.01), above: certificate(1.99) },
  CertificateExpiresSoon: { below: certificate(7.01), above: certificate(6.99) },
  CertificateExpires: { below: certificate(14.01), above: certificate(13.99) },
  CertificateWrongName: {
    below: served("autre.exemple.fr,technicia.exemple.fr"),
    above: served("autre.exemple.fr,xtechnicia.exemple.fr"),
    alsoAbove: [served(""), served("technicia-exemple.fr"), served("*.technicia.exemple.fr")],
    alsoBelow: [
      served("technicia.exemple.fr"),
      served("*.exemple.fr"),
      // CertificatePlaceholder is about this one.
      { ...served("placeholder.invalid"), technicia_certificate_placeholder: steady(1) },
      // A probe that sees no certificate is SiteDown.
      { [PUBLIC]: last(0, 0, 0, 0) },
    ],
  },
  CertificatePlaceholder: {
    below: { technicia_certificate_placeholder: steady(0) },
    above: { technicia_certificate_placeholder: steady(1) },
  },
  BackupTooOld: {
    below: ago("technicia_backup_last_success_timestamp_seconds", 3 * HOUR - 1),
    above: ago("technicia_backup_last_success_timestamp_seconds", 3 * HOUR + 1),
  },
  BackupLate: {
    below: ago("technicia_backup_last_success_timestamp_seconds", 2 * HOUR + 15 * MINUTE - 1),
    above: ago("technicia_backup_last_success_timestamp_seconds", 2 * HOUR + 15 * MINUTE + 1),
  },
  BackupMissing: { below: ago("technicia_backup_last_success_timestamp_seconds", DAY), above: {} },
  BackupFailed: {
    below: { technicia_backup_failed: steady(0) },
    above: { technicia_backup_failed: steady(1) },
  },
  DrillOverdue: {
    below: ago("technicia_drill_last_success_timestamp_seconds", 9 * DAY - 1),
    above: ago("technicia_drill_last_success_timestamp_seconds", 9 * DAY + 1),
  },
  DrillFailed: {
    below: { technicia_drill_failed: steady(0) },
    above: { technicia_drill_failed: steady(1) },
  },
  DriftFound: {
    below: { technicia_drift_findings: steady(0) },
    above: { technicia_drift_findings: steady(1) },
  },
  DriftCheckOld: {
    below: ago("technicia_drift_last_check_timestamp_seconds", 26 * HOUR - 1),
    above: ago("technicia_drift_last_check_timestamp_seconds", 26 * HOUR + 1),
  },
  WorkflowsFailing: {
    // n8n has no such counter until an execution fails: the first value counts from nothing.
    below: { n8n_workflow_failed_total: steady(3, 4 * MINUTE) },
    above: { n8n_workflow_failed_total: steady(4, 4 * MINUTE) },
    alsoAbove: [grown("n8n_workflow_failed_total", 4)],
  },
  VectorStoreRecovering: {
    below: { app_status_recovery_mode: steady(0) },
    above: { qdrant_app_status_recovery_mode: steady(1) },
  },
};

const OWN_HEALTH: Readonly<Record<string, MetricCase>> = {
  MonitoringDown: { below: up({ ...ALL_UP, n8n: 0 }), above: up({ ...ALL_UP, logs: 0 }) },
  TargetDown: { below: up({ ...ALL_UP, logs: 0 }), above: up({ ...ALL_UP, n8n: 0 }) },
  TargetMissing: { below: up({ ...ALL_TARGETS, qdrant: 0 }), above: up(without(ALL_TARGETS, "qdrant")) },
  MonitoringRestarts: {
    below: { 'technicia_task_started_timestamp_seconds{service="logs"}': starts(2) },
    above: { 'technicia_task_started_timestamp_seconds{service="logs"}': starts(3) },
  },
  CollectorSilent: {
    below: { technicia_collector_seconds: [[119, 0.5]] },
    above: { technicia_collector_seconds: [[121, 0.5]] },
  },
  CollectorSourceDown: {
    below: { 'technicia_collector_up{source="docker"}': steady(1) },
    above: { 'technicia_collector_up{source="docker"}': steady(0) },
  },
  CollectorSlow: {
    below: { technicia_collector_seconds: steady(10) },
    above: { technicia_collector_seconds: steady(10.1) },
  },
  RuleErrors: {
    below: {
      ...grown('vmalert_alerting_rules_errors_total{job="log-rules",alertname="ServiceErrors"}', 0),
      ...grown('vmalert_recording_rules_errors_total{job="log-rules",recording="gateway"}', 0),
    },
    above: {
      ...grown('vmalert_alerting_rules_errors_total{job="log-rules",alertname="ServiceErrors"}', 0),
      ...grown('vmalert_recording_rules_errors_total{job="log-rules",recording="gateway"}', 1, 40),
    },
    // It is over.
    alsoBelow: [
      grown('vmalert_alerting_rules_errors_total{job="log-rules",alertname="ServiceErrors"}', 9, 80),
    ],
  },
  RulesLate: {
    below: grown('vmalert_iteration_missed_total{job="metric-rules"}', 0),
    above: grown('vmalert_iteration_missed_total{job="metric-rules"}', 1),
  },
  ConfigurationRefused: {
    below: {
      'vmalert_config_last_reload_successful{job="metric-rules"}': steady(1),
      'alertmanager_config_last_reload_successful{job="alerts"}': steady(1),
    },
    above: {
      'vmalert_config_last_reload_successful{job="metric-rules"}': steady(1),
      'alertmanager_config_last_reload_successful{job="alerts"}': steady(0),
    },
  },
  AlertsNotSent: {
    below: grown('vmalert_alerts_send_errors_total{job="metric-rules"}', 0),
    above: grown('vmalert_alerts_send_errors_total{job="metric-rules"}', 1, 40),
    alsoBelow: [grown('vmalert_alerts_send_errors_total{job="metric-rules"}', 9, 80)],
  },
  NotificationsFailing: {
    below: {
      ...grown('alertmanager_notifications_failed_total{integration="email",receiver_name="team"}', 0),
      ...grown(
        'alertmanager_notifications_failed_total{integration="webhook",receiver_name="deadman"}',
        5,
        70,
      ),
    },
    above: grown('alertmanager_notifications_failed_total{integration="email",receiver_name="team"}', 1, 70),
    alsoBelow: [
      grown('alertmanager_notifications_failed_total{integration="email",receiver_name="team"}', 9, 110),
      {
        ...grown('alertmanager_notifications_total{integration="email",receiver_name="team"}', 3),
        ...grown('alertmanager_notification_requests_total{integration="email",receiver_name="team"}', 3),
      },
      // Announcements that have been sent, and have ended.
      {
        ...grown(
          'alertmanager_notifications_total{integration="slack",receiver_name="announcements-slack"}',
          8,
        ),
        ...grown(
          'alertmanager_notification_requests_total{integration="slack",receiver_name="announcements-slack"}',
          4,
        ),
      },
    ],
    // One of three has not ended.
    alsoAbove: [
      {
        ...grown('alertmanager_notifications_total{integration="email",receiver_name="team"}', 3),
        ...grown('alertmanager_notification_requests_total{integration="email",receiver_name="team"}', 2),
      },
    ],
  },
  StoreReadOnly: {
    below: {
      'vm_storage_is_read_only{job="metrics"}': steady(0),
      'vl_storage_is_read_only{job="logs"}': steady(0),
      'up{job="logs"}': [[59, 1]],
    },
    above: {
      'vm_storage_is_read_only{job="metrics"}': steady(0),
      'vl_storage_is_read_only{job="logs"}': steady(1),
      'up{job="logs"}': last(1, 1),
    },
    // The metrics' store has taken nothing since, and so does not know of itself that it is full.
    alsoAbove: [
      {
        'vm_storage_is_read_only{job="metrics"}': steady(0).map(older(61)),
        'up{job="logs"}': [[61, 1]],
        technicia_collector_seconds: [[62, 0.5]],
      },
    ],
    alsoBelow: [{ technicia_collector_seconds: [[59, 0.5]] }],
  },
  LinesDropped: {
    below: grown('vl_rows_dropped_total{reason="too_old"}', 0),
    above: grown('vl_rows_dropped_total{reason="too_old"}', 1),
  },
  AccessLogSilent: {
    below: { 'gateway_lines{stats_result="lines"}': steady(0), [PUBLIC]: last(1, 0, 1, 1, 1) },
    above: { 'gateway_lines{stats_result="lines"}': steady(0), [PUBLIC]: last(1, 1, 1, 1, 1) },
  },
};

function without<Value>(map: Readonly<Record<string, Value>>, key: string): Record<string, Value> {
  return Object.fromEntries(Object.entries(map).filter(([name]) => name !== key));
}

export const METRIC_CASES: Readonly<Record<string, MetricCase>> = {
  ...SITE,
  ...SERVER,
  ...RECORDS,
  ...OWN_HEALTH,
};
