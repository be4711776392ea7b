/** Rules about the server: memory, processors, disks, clock, patches; and the memory of each container. */
import type { MonitoringFacts } from "../facts.ts";
import {
  by,
  label,
  lastingMinutes,
  minutes,
  ofServer,
  onEachServer,
  type Rule,
  type Severity,
  value,
} from "./rule.ts";

const HOST = "serveur";

export function hostRules(facts: MonitoringFacts): Rule[] {
  const ofEach = (rules: readonly Rule[]) => rules.map((rule) => onEachServer(facts, rule));
  return [
    ...ofEach(memoryRules(facts)),
    ...containerMemoryRules(facts),
    ...ofEach(processorRules(facts)),
    ...ofEach(diskRules(facts)),
    ...ofEach(systemRules(facts)),
  ];
}

function memoryRules(facts: MonitoringFacts): Rule[] {
  const { thresholds, stack } = facts;
  const { memory } = thresholds;
  const available = `max${by(facts)}(node_memory_MemAvailable_bytes)`;
  const used = (name: string, severity: Severity, percent: number, forMinutes: number): Rule => ({
    name,
    severity,
    expr: `100 * (1 - ${available} / max${by(facts)}(node_memory_MemTotal_bytes)) > ${percent}`,
    forSeconds: minutes(forMinutes),
    topic: "memory",
    title: `Mémoire du serveur au-dessus de ${percent} %`,
    where: HOST,
    value: `${value(1)} % utilisés`,
    threshold: lastingMinutes(`${percent} %`, forMinutes),
    meaning: "Quand elle manque, le noyau arrête des programmes, n'importe lesquels.",
    action: `Voir quel service grandit : npm run metrics -- ${stack}.`,
  });
  const scarce = (name: string, severity: Severity, mib: number): Rule => ({
    name,
    severity,
    expr: `${available} / 1048576 < ${mib}`,
    forSeconds: minutes(memory.p1Minutes),
    topic: "memory",
    title: `Moins de ${mib} Mio de mémoire disponibles`,
    where: HOST,
    value: `${value()} Mio disponibles`,
    threshold: lastingMinutes(`${mib} Mio`, memory.p1Minutes),
    meaning: "Le prochain gros document ou la prochaine mise à jour peut faire arrêter un service.",
    action: `Voir quel service grandit : npm run metrics -- ${stack}.`,
  });
  return [
    used("HostMemoryCritical", "P1", memory.p1Percent, memory.p1Minutes),
    used("HostMemoryHigh", "P2", memory.p2Percent, memory.p2Minutes),
    // Not before HostMemoryCritical, which says the same and is graver.
    used("HostMemoryExhausted", "P2", memory.alertPercent, memory.p1Minutes),
    used("HostMemoryElevated", "P3", memory.p3Percent, memory.p3Minutes),
    used("HostMemoryAboveTarget", "P3", memory.targetPercent, memory.p2Minutes),
    scarce("AvailableMemoryCritical", "P1", memory.criticalAvailableMib),
    scarce("AvailableMemoryLow", "P3", memory.warningAvailableMib),
  ];
}

function containerMemoryRules({ thresholds, stack }: MonitoringFacts): Rule[] {
  const { containerMemory, memory } = thresholds;
  const used = (name: string, severity: Severity, percent: number, forMinutes: number): Rule => ({
    name,
    severity,
    expr: `100 * max by (service) (technicia_container_memory_working_set_bytes) / (max by (service) (technicia_container_memory_limit_bytes) > 0) > ${percent}`,
    forSeconds: minutes(forMinutes),
    subject: "service",
    topic: "container-memory",
    title: `${label("service")} prend plus de ${percent} % de sa mémoire`,
    where: `service ${label("service")}`,
    value: `${value(1)} % de sa limite`,
    threshold: lastingMinutes(`${percent} %`, forMinutes),
    meaning: "À 100 %, le service est arrêté et redémarré ; ses demandes en cours sont perdues.",
    action: `npm run metrics -- ${stack} ; relever services.<service>.memoryMib si c'est l'usage, chercher une fuite sinon.`,
  });
  return [
    used("ServiceMemoryCritical", "P1", containerMemory.p1Percent, memory.p1Minutes),
    used("ServiceMemoryHigh", "P2", containerMemory.p2Percent, memory.p2Minutes),
    used("ServiceMemoryElevated", "P3", containerMemory.p3Percent, memory.p3Minutes),
  ];
}

function processorRules(facts: MonitoringFacts): Rule[] {
  const { thresholds, stack } = facts;
  const { cpu } = thresholds;
  const load = (name: string, severity: Severity, most: number): Rule => ({
    name,
    severity,
    expr: `max${by(facts)}(node_load5) / count${by(facts)}(node_cpu_seconds_total{mode="idle"}) > ${most}`,
    forSeconds: minutes(5),
    topic: "load",
    title: `Charge de plus de ${most} par cœur`,
    where: HOST,
    value: `${value(2)} par cœur`,
    threshold: lastingMinutes(`${most} par cœur`, 5),
    meaning: "Des programmes attendent un processeur ou le disque : tout répond plus lentement.",
    action: `npm run metrics -- ${stack} montre quel service travaille.`,
  });
  return [
    {
      name: "CpuHigh",
      severity: "P2",
      expr: `100 * (1 - avg${by(facts)}(rate(node_cpu_seconds_total{mode="idle"}[5m]))) > ${cpu.percent}`,
      forSeconds: minutes(cpu.minutes),
      title: `Processeurs occupés à plus de ${cpu.percent} %`,
      where: HOST,
      value: `${value(1)} %`,
      threshold: lastingMinutes(`${cpu.percent} %`, cpu.minutes),
      meaning: "Les réponses ralentissent, et les contrôles de santé peuvent échouer.",
      action: `npm run metrics -- ${stack} montre quel service travaille.`,
    },
    load("LoadCritical", "P2", cpu.criticalLoad),
    load("LoadHigh", "P3", cpu.warningLoad),
  ];
}

// Without what is not a disk, and without the folders in which a container or the system mounts single files.
const DISKS = `{fstype!~"tmpfs|ramfs|devtmpfs|squashfs|iso9660|vfat|fuse.*|nsfs",mountpoint!~"/(boot|dev|etc|proc|run|sys)(/.*)?"}`;

function diskRules(facts: MonitoringFacts): Rule[] {
  const { thresholds, stack } = facts;
  const { disk } = thresholds;
  const least = `min${by(facts, "mountpoint")}`;
  const free = `100 * ${least}(node_filesystem_avail_bytes${DISKS} / node_filesystem_size_bytes)`;
  const rule = (
    name: string,
    severity: Severity,
    own: Pick<Rule, "expr" | "forSeconds" | "title" | "value" | "threshold">,
  ) => ({
    name,
    severity,
    subject: "mountpoint",
    where: `disque ${label("mountpoint")}`,
    meaning: "Un disque plein arrête les bases de données, et avec elles le site.",
    action: `npm run metrics -- ${stack} montre la pente ; docs/alerts.md dit ce qui se laisse supprimer.`,
    ...own,
  });
  const used = (name: string, severity: Severity, percent: number): Rule => ({
    ...rule(name, severity, {
      expr: `100 - ${free} > ${percent}`,
      forSeconds: minutes(1),
      title: `Disque utilisé à plus de ${percent} %`,
      value: `${value(1)} % utilisés`,
      threshold: `${percent} %`,
    }),
    topic: "disk",
  });
  return [
    used("DiskCritical", "P1", disk.criticalUsedPercent),
    {
      ...rule("DiskFreeLow", "P2", {
        expr: `${free} < ${disk.freePercent}`,
        forSeconds: minutes(1),
        title: `Moins de ${disk.freePercent} % du disque libres`,
        value: `${value(1)} % libres`,
        threshold: `${disk.freePercent} %`,
      }),
      topic: "disk",
    },
    used("DiskWarning", "P3", disk.warningUsedPercent),
    rule("DiskFullSoon", "P2", {
      expr: `${least}(predict_linear(node_filesystem_avail_bytes${DISKS}[6h], ${disk.fullWithinHours * 3600})) / 1073741824 < 0`,
      forSeconds: minutes(60),
      title: `Disque plein d'ici ${disk.fullWithinHours} heures`,
      value: `${value(1)} Gio dans ${disk.fullWithinHours} h à ce rythme`,
      threshold: lastingMinutes(`0 Gio dans ${disk.fullWithinHours} h`, 60),
    }),
    rule("InodesLow", "P2", {
      expr: `100 * ${least}(node_filesystem_files_free${DISKS} / (node_filesystem_files > 0)) < ${disk.inodesFreePercent}`,
      forSeconds: minutes(1),
      title: "Presque plus de fichiers possibles sur le disque",
      value: `${value(1)} % des inodes libres`,
      threshold: `${disk.inodesFreePercent} %`,
    }),
  ];
}

/** True of something that has been there for that many days, on a server that was watched then. */
const lasting = (facts: MonitoringFacts, metric: string, count: number) =>
  `min_over_time(max${by(facts)}(${metric})[${count}d:1h]) > 0 and max${by(facts)}(${metric} offset ${count}d) > 0`;

function systemRules(facts: MonitoringFacts): Rule[] {
  const { thresholds, stack } = facts;
  const { clock, patches } = thresholds;
  return [
    {
      name: "UnitFailed",
      severity: "P2",
      expr: `max${by(facts, "unit")}(technicia_unit_failed) == 1`,
      forSeconds: minutes(5),
      subject: "unit",
      title: `${label("unit")} a échoué`,
      where: `serveur, ${label("unit")}`,
      value: "en échec",
      threshold: "5 min",
      meaning:
        "Un programme du serveur ne fait plus son travail : pare-feu, certificat, mises à jour, ou autre.",
      action: `npm run logs -- ${stack} ${label("unit")}${ofServer(facts)} ; npm run drift -- ${stack} --repair relance les nôtres.`,
    },
    {
      name: "ClockUnsynchronised",
      severity: "P3",
      expr: `max${by(facts)}(node_timex_sync_status) == 0`,
      forSeconds: minutes(10),
      title: "L'horloge du serveur n'est plus réglée",
      where: HOST,
      value: "non synchronisée",
      threshold: "10 min",
      meaning: "Une horloge fausse fait refuser des certificats et mélange les journaux.",
      action: `npm run drift -- ${stack} ; le service de temps du serveur est systemd-timesyncd ou chrony.`,
    },
    {
      name: "ClockOffset",
      severity: "P3",
      expr: `1000 * max${by(facts)}(abs(node_timex_offset_seconds)) > ${clock.offsetMs}`,
      forSeconds: minutes(5),
      title: "L'horloge du serveur est décalée",
      where: HOST,
      value: `${value()} ms`,
      threshold: lastingMinutes(`${clock.offsetMs} ms`, 5),
      meaning: "Une horloge fausse fait refuser des certificats et mélange les journaux.",
      action: `npm run drift -- ${stack} ; le service de temps du serveur est systemd-timesyncd ou chrony.`,
    },
    {
      name: "PatchesPending",
      severity: "P3",
      expr: lasting(facts, "technicia_patches_security", patches.securityDays),
      title: `Correctifs de sécurité en attente depuis ${patches.securityDays} jours`,
      where: HOST,
      value: `${value()} correctif(s)`,
      threshold: `${patches.securityDays} jours`,
      meaning: "Une faille connue reste ouverte.",
      action: `Dans la fenêtre de déploiement : npm run maintain -- ${stack}${ofServer(facts)}.`,
    },
    {
      name: "RebootPending",
      severity: "P3",
      expr: lasting(facts, "technicia_reboot_required", patches.rebootDays),
      title: `Redémarrage du serveur attendu depuis ${patches.rebootDays} jours`,
      where: HOST,
      value: `depuis plus de ${patches.rebootDays} jours`,
      threshold: `${patches.rebootDays} jours`,
      meaning: "Le noyau corrigé est installé, mais l'ancien tourne encore.",
      action: `Dans la fenêtre de déploiement : npm run maintain -- ${stack}${ofServer(facts)}.`,
    },
  ];
}
