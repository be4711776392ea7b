/** Rules about what the server's records and applications say: certificate, backups, drills, drift, n8n, Qdrant. */
import type { MonitoringFacts } from "../facts.ts";
import { days, minutes, type Rule, type Severity, value } from "./rule.ts";

export function recordRules(facts: MonitoringFacts): Rule[] {
  return [
    ...certificateRules(facts),
    ...backupRules(facts),
    ...driftRules(facts),
    ...applicationRules(facts),
  ];
}

/** As visitors get it, and as the server has it: one of them alone can be out of date. So can the copy of another gateway. */
function certificateDays({ otherGateways }: MonitoringFacts): string {
  const job = otherGateways.length === 0 ? 'job="public"' : 'job=~"public|gateway"';
  return `(min(probe_ssl_earliest_cert_expiry{${job}}, technicia_certificate_not_after_timestamp_seconds) - time()) / 86400`;
}

/** Another gateway has nothing better until it has fetched its first copy. */
function placeholders({ otherGateways }: MonitoringFacts): string {
  const own = "max(technicia_certificate_placeholder) == 1";
  const others = 'max(probe_ssl_last_chain_info{job="gateway",issuer="CN=placeholder.invalid"}) == 1';
  return otherGateways.length === 0 ? own : `${own} or ${others}`;
}

/** The names of a certificate, separated by commas, with that name among them. */
function namesOf(domain: string): string {
  const quoted = (name: string) => name.replaceAll(".", "[.]").replaceAll("*", "[*]");
  const names = [domain, domain.replace(/^[^.]+/, "*")].map(quoted);
  return `(.+,)?(${names.join("|")})(,.+)?`;
}

function certificateRules(facts: MonitoringFacts): Rule[] {
  const { thresholds, stack, domain } = facts;
  const { p1Days, p2Days, p3Days } = thresholds.certificate;
  const left = certificateDays(facts);
  const expires = (name: string, severity: Severity, least: number): Rule => ({
    name,
    severity,
    expr: `${left} < ${least}${severity === "P1" ? ` and ${left} >= 0` : ""}`,
    topic: "certificate",
    title: `Le certificat expire dans moins de ${least} jours`,
    where: domain,
    value: `${value(1)} jours`,
    threshold: `${least} jours`,
    meaning: "Son renouvellement échoue ; à l'échéance, les navigateurs refusent le site.",
    action: `npm run drift -- ${stack}, puis docs/runbook.md, « Problème de certificat ».`,
  });
  return [
    {
      name: "CertificateExpired",
      severity: "P1",
      expr: `${left} < 0`,
      topic: "certificate",
      title: "Le certificat a expiré",
      where: domain,
      value: `${value(1)} jours`,
      threshold: "0 jour",
      meaning: "Les navigateurs refusent le site.",
      action: "docs/runbook.md, « Problème de certificat » : redemander un certificat sans attendre.",
    },
    expires("CertificateExpiresNow", "P1", p1Days),
    expires("CertificateExpiresSoon", "P2", p2Days),
    expires("CertificateExpires", "P3", p3Days),
    {
      name: "CertificateWrongName",
      severity: "P1",
      // Where nobody knows the authority the probe trusts any certificate, also one for another name.
      expr: `max(probe_ssl_last_chain_info{job="public"}) unless (max(probe_ssl_last_chain_info{job="public",subjectalternative=~"${namesOf(domain)}"}) or max(technicia_certificate_placeholder) == 1)`,
      forSeconds: minutes(1),
      title: "Le site montre le certificat d'un autre nom",
      where: domain,
      value: `${domain} n'est pas parmi ses noms`,
      threshold: "1 min",
      meaning: "Les navigateurs refusent le site.",
      action: `npm run drift -- ${stack} --repair, puis docs/runbook.md, « Problème de certificat ».`,
    },
    {
      name: "CertificatePlaceholder",
      severity: "P1",
      expr: placeholders(facts),
      forSeconds: minutes(15),
      title: "Le site montre encore le certificat provisoire",
      where: domain,
      value: "certificat provisoire",
      threshold: "15 min",
      meaning: "Les navigateurs refusent le site : l'autorité n'a encore rien donné.",
      action: `npm run drift -- ${stack}, puis docs/runbook.md, « Problème de certificat ».`,
    },
  ];
}

function backupRules(facts: MonitoringFacts): Rule[] {
  const { backup, stack, thresholds } = facts;
  if (backup === undefined) return [];
  const last = "max(technicia_backup_last_success_timestamp_seconds)";
  const late = thresholds.backups.missed * backup.hours;
  const older = (name: string, severity: Severity, hours: number): Rule => ({
    name,
    severity,
    expr: `(time() - ${last}) / 3600 > ${hours}`,
    topic: "backup",
    title: `La dernière sauvegarde a plus de ${hours} heures`,
    where: "sauvegardes",
    value: `${value(1)} heures`,
    threshold: `${hours} heures`,
    meaning: "Ce qui a été fait depuis serait perdu avec le serveur.",
    action: `npm run backups -- ${stack}, puis npm run backup -- ${stack} pour en faire une maintenant.`,
  });
  return [
    older("BackupTooOld", "P1", backup.maxAgeHours),
    // A quarter of an hour for the backup itself.
    older("BackupLate", "P2", late + 0.25),
    {
      name: "BackupMissing",
      severity: "P2",
      expr: "absent(technicia_backup_last_success_timestamp_seconds)",
      forSeconds: (backup.hours + 1) * 3600,
      topic: "backup",
      title: "Aucune sauvegarde n'est connue",
      where: "sauvegardes",
      value: "aucune",
      threshold: `${backup.hours + 1} heures`,
      meaning: "Avec le serveur, tout serait perdu.",
      action: `npm run backups -- ${stack}, puis npm run backup -- ${stack}.`,
    },
    {
      name: "BackupFailed",
      severity: "P2",
      expr: "max(technicia_backup_failed) == 1",
      title: "La dernière sauvegarde a échoué",
      where: "sauvegardes",
      value: "échec",
      threshold: "aucun échec admis",
      meaning: "Le jeu précédent reste, mais il vieillit.",
      action: `npm run logs -- ${stack} --grep technicia-backup --since 3h, puis npm run backup -- ${stack}.`,
    },
    ...drillRules(facts, backup.drillDays),
  ];
}

function drillRules({ stack, thresholds }: MonitoringFacts, drillDays: number | undefined): Rule[] {
  if (drillDays === undefined) return [];
  const overdue = drillDays + thresholds.drills.overdueDays;
  return [
    {
      name: "DrillOverdue",
      severity: "P3",
      expr: `(time() - max(technicia_drill_last_success_timestamp_seconds)) / ${days(1)} > ${overdue}`,
      title: "L'exercice de restauration est en retard",
      where: "sauvegardes",
      value: `${value()} jours`,
      threshold: `${overdue} jours`,
      meaning: "Personne ne sait plus si les sauvegardes se laissent restaurer.",
      action: `npm run drill -- ${stack}.`,
    },
    {
      name: "DrillFailed",
      severity: "P2",
      expr: "max(technicia_drill_failed) == 1",
      title: "L'exercice de restauration a échoué",
      where: "sauvegardes",
      value: "échec",
      threshold: "aucun échec admis",
      meaning: "La sauvegarde essayée ne suffirait pas à reprendre le service.",
      action: `npm run drill -- ${stack} dit ce qui manque ; npm run backups -- ${stack} montre les autres jeux.`,
    },
  ];
}

function driftRules({ stack, thresholds }: MonitoringFacts): Rule[] {
  const { findings, checkHours } = thresholds.drift;
  return [
    {
      name: "DriftFound",
      severity: "P3",
      expr: `max(technicia_drift_findings) > ${findings}`,
      title: "Le serveur n'est plus comme déclaré",
      where: "serveur",
      value: `${value()} écart(s)`,
      threshold: `${findings} écart(s)`,
      meaning: "Quelqu'un ou quelque chose a changé le serveur à la main.",
      action: `npm run drift -- ${stack}, puis npm run drift -- ${stack} --repair.`,
    },
    {
      name: "DriftCheckOld",
      severity: "P3",
      expr: `(time() - max(technicia_drift_last_check_timestamp_seconds)) / 3600 > ${checkHours}`,
      title: "La dérive n'est plus contrôlée",
      where: "serveur",
      value: `dernier contrôle il y a ${value()} heures`,
      threshold: `${checkHours} heures`,
      meaning: "Un changement fait à la main passerait inaperçu.",
      action: `npm run drift -- ${stack}, et voir pourquoi le contrôle de la nuit ne tourne plus.`,
    },
  ];
}

function applicationRules({ stack, thresholds }: MonitoringFacts): Rule[] {
  const { failedExecutions, minutes: window } = thresholds.n8n;
  return [
    {
      name: "WorkflowsFailing",
      severity: "P2",
      expr: `sum(increase(n8n_workflow_failed_total[${window}m])) > ${failedExecutions}`,
      title: "Des exécutions de n8n échouent",
      where: "service n8n",
      value: `${value()} en ${window} min`,
      threshold: `${failedExecutions} exécutions`,
      meaning: "Des questions ou des documents restent sans réponse.",
      action: `npm run logs -- ${stack} n8n --errors ; la liste des exécutions de n8n dit quel nœud a échoué.`,
    },
    {
      name: "VectorStoreRecovering",
      severity: "P1",
      expr: 'max({__name__=~"(qdrant_)?app_status_recovery_mode"}) == 1',
      title: "Qdrant est en mode de récupération",
      where: "service qdrant",
      value: "mode de récupération",
      threshold: "dès la première mesure",
      meaning: "Qdrant a manqué de mémoire au démarrage et ne répond à aucune recherche.",
      action: `npm run logs -- ${stack} qdrant --errors ; relever services.qdrant.memoryMib, ou npm run restore -- ${stack}.`,
    },
  ];
}
