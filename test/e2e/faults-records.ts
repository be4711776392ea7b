/** What the server's records say: certificates, backups, drills and checks for drift. */
import { npm } from "./deployments.ts";
import type { Fault } from "./faults.ts";
import { onServer } from "./rehearsal.ts";

const TLS = "/opt/technicia/gateway/tls";

/** A certificate for a name, valid until a date as `date` reads it, in the place of the one that is served. */
const CERTIFY = `certify() {
  folder=$(mktemp --directory); cd "$folder"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -addext "subjectAltName = DNS:$1" -keyout privkey.pem -out request.pem 2>/dev/null
  touch index; echo 01 > serial
  printf '[a]\\ndatabase = index\\nnew_certs_dir = .\\nserial = serial\\ndefault_md = sha256\\ncopy_extensions = copy\\npolicy = b\\n[b]\\ncommonName = supplied\\n' > ca.cnf
  openssl ca -batch -notext -config ca.cnf -name a -selfsign -keyfile privkey.pem -in request.pem -out fullchain.pem \\
    -startdate 20250101000000Z -enddate "$(date --utc --date "$2" +%Y%m%d%H%M%SZ)"
  for file in privkey.pem fullchain.pem; do cat "$file" > "${TLS}/$file"; done
  cd /; rm --recursive "$folder"
  /opt/technicia/bin/gateway-reload
}`;

const NAME = "test.technicia.example";
/** Installs what the authority has issued; only a deployment asks for another. */
const REINSTALL = "/opt/technicia/bin/certificate renew";

function certified(
  name: string,
  { subject = NAME, until }: { readonly subject?: string; readonly until: string },
  more: Pick<Fault, "alerts"> & Partial<Fault>,
): Fault {
  return { name, inject: `${CERTIFY}; certify ${subject} '${until}'`, repair: REINSTALL, ...more };
}

const METRICS = "/var/lib/technicia/metrics/backup.prom";
const AUDIT = "/var/lib/technicia/history.jsonl";
const WRITER = "/etc/technicia/backup/writer";
const HOURS = "hours pass, so the record of the last set is dated back";
const DAYS = "days pass, so the record is dated back";

/** No set is made any more, and the last one was made then. */
const stopBackups = (at: string) =>
  `systemctl stop technicia-backup.timer
sed --in-place "s/^technicia_backup_last_success_timestamp_seconds .*/technicia_backup_last_success_timestamp_seconds $(date --date '${at}' +%s)/" ${METRICS}`;

/** The next set writes the records anew. */
const MAKE_SET = "systemctl start technicia-backup.timer; systemctl start technicia-backup.service";

const FAULTS = {
  expired: certified(
    "the certificate has expired",
    { until: "-1 day" },
    { alerts: { CertificateExpired: "P1" }, follows: ["CertificateExpiresSoon", "CertificateExpires"] },
  ),
  expiresNow: certified(
    "the certificate expires tomorrow",
    { until: "+1 day" },
    { alerts: { CertificateExpiresNow: "P1" }, follows: ["CertificateExpiresSoon", "CertificateExpires"] },
  ),
  expiresSoon: certified(
    "the certificate expires in five days",
    { until: "+5 days" },
    { alerts: { CertificateExpiresSoon: "P2" }, follows: ["CertificateExpires"] },
  ),
  expires: certified(
    "the certificate expires in ten days",
    { until: "+10 days" },
    { alerts: { CertificateExpires: "P3" } },
  ),
  placeholder: certified(
    "the gateway presents the placeholder",
    { subject: "placeholder.invalid", until: "+90 days" },
    { alerts: { CertificatePlaceholder: "P1" } },
  ),
  damaged: {
    name: "the certificate on the disk is damaged",
    inject: `echo damaged > ${TLS}/fullchain.pem`,
    repair: REINSTALL,
    alerts: { "CollectorSourceDown-records": "P2" },
  },
  wrongName: certified(
    "the certificate is one of another name",
    { subject: "other.technicia.example", until: "+90 days" },
    { alerts: { CertificateWrongName: "P1" } },
  ),
  drifted: {
    name: "somebody has changed a file of ours",
    inject: async () => {
      await onServer("set -e; echo '# mallory' >> /opt/technicia/bin/gateway-reload");
      await checkDrift();
    },
    repair: async () => {
      await npm("drift", "--", "test", "--repair", "--yes");
      await checkDrift();
    },
    alerts: { DriftFound: "P3" },
  },
  unit: {
    name: "a unit of the server fails",
    inject: "! systemd-run --quiet --wait --unit technicia-mallory false",
    repair: "systemctl reset-failed technicia-mallory.service",
    alerts: { "UnitFailed-technicia-mallory.service": "P2" },
  },
  late: {
    name: "two backups are missing",
    inject: stopBackups("-150 minutes"),
    repair: MAKE_SET,
    alerts: { BackupLate: "P2" },
    moves: HOURS,
  },
  tooOld: {
    name: "no backup was made for four hours",
    inject: stopBackups("-4 hours"),
    repair: MAKE_SET,
    alerts: { BackupTooOld: "P1" },
    follows: ["BackupLate"],
    moves: HOURS,
  },
  failed: {
    name: "the key of the backups is no longer the right one",
    inject: `cp --archive ${WRITER} /root/writer.kept
printf '[default]\\naws_access_key_id = a\\naws_secret_access_key = b\\n' > ${WRITER}
! systemctl start technicia-backup.service`,
    repair: `cat /root/writer.kept > ${WRITER}; rm /root/writer.kept; ${MAKE_SET}`,
    alerts: { BackupFailed: "P2" },
    // Its unit.
    mayFollow: ["UnitFailed"],
  },
  drillOverdue: {
    name: "nobody has rehearsed a restore for ten days",
    inject: `systemctl stop technicia-backup.timer
{ grep --invert-match '^technicia_drill_last_success' ${METRICS}; echo "technicia_drill_last_success_timestamp_seconds $(date --date '-10 days' +%s)"; } > ${METRICS}.new
mv ${METRICS}.new ${METRICS}`,
    repair: MAKE_SET,
    alerts: { DrillOverdue: "P3" },
    moves: DAYS,
  },
  drillFailed: {
    name: "a set cannot be restored",
    inject: "! /opt/technicia/backup/main.py drill --set ffffffff",
    repair: () => npm("drill", "--", "test"),
    alerts: { DrillFailed: "P2" },
  },
  checkOld: {
    name: "nobody has looked for drift for thirty hours",
    inject: `cp --archive ${AUDIT} /root/audit.kept
echo '{"at":"'$(date --utc --date '-30 hours' +%Y-%m-%dT%H:%M:%S.000Z)'","who":"test","action":"drift","reason":"","detail":"aucun écart","findings":0}' >> ${AUDIT}`,
    repair: async () => {
      // Records are a chain, to which lines can only be added.
      await onServer(
        `set -e; chattr -a ${AUDIT}; cat /root/audit.kept > ${AUDIT}; chattr +a ${AUDIT}; rm /root/audit.kept`,
      );
      await checkDrift();
    },
    alerts: { DriftCheckOld: "P3" },
    moves: DAYS,
  },
} as const satisfies Readonly<Record<string, Fault>>;

/** A check, which writes into the audit what it found. */
async function checkDrift(): Promise<void> {
  const { code, stdout, stderr } = await npm("drift", "--", "test");
  if (code !== 0 && code !== 7) throw new Error(`npm run drift ended with ${code}\n${stdout}\n${stderr}`);
}

/** Each certificate together with a record that it does not touch. */
export const RECORDS: readonly (readonly Fault[])[] = [
  [FAULTS.expired, FAULTS.late],
  [FAULTS.expiresNow, FAULTS.tooOld],
  [FAULTS.expiresSoon, FAULTS.failed],
  [FAULTS.expires, FAULTS.drillOverdue],
  [FAULTS.damaged, FAULTS.drillFailed],
  [FAULTS.placeholder],
  [FAULTS.wrongName, FAULTS.drifted],
  [FAULTS.checkOld, FAULTS.unit],
];
