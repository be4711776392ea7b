import type { MonitoringFacts } from "./facts.ts";

/** What a level means, as a message says it. */
const LEVELS = {
  P1: "P1, critique : le service est indisponible ou va l'être",
  P2: "P2, important : service dégradé ou erreurs fréquentes",
  P3: "P3, surveillance : une anomalie qui demande de l'attention",
  info: "information",
} as const;

/**
 * vmalert says of an alert that it is over for a quarter of an hour, and Alertmanager repeats it in every message of its group meanwhile. An end
 * that is older than this many seconds was told before: it comes with the next message of its group, a minute later at most.
 */
const TOLD_SECONDS = 180;

/**
 * Templates of the messages by mail and to Slack: `technicia.subject`, `technicia.text`, `technicia.html`, and the same of `announcement`.
 *
 * Times are those of the container's zone (TZ): a zone that it does not know counts as UTC, and the message says so, where naming the zone
 * here would keep the message from being sent.
 */
export function renderMessages({ stack }: MonitoringFacts): string {
  return `{{/* Managed: a change made here by hand is found and undone. */ -}}
{{ define "technicia.level" }}${renderLevels()}{{ end }}
{{ define "technicia.time" }}{{ .Local.Format "02/01/2006 15:04:05 MST" }}{{ end }}
{{ define "technicia.title" }}{{ with .Annotations.title }}{{ . }}{{ else }}{{ .Labels.alertname }}{{ end }}{{ end }}
{{ define "technicia.first" }}{{ template "technicia.title" index . 0 }}{{ if gt (len .) 1 }} ({{ len . }} alertes){{ end }}{{ end }}
${SUBJECT}
${renderText(stack)}
${renderHtml(stack)}
${renderAnnouncements()}
`;
}

function renderLevels(): string {
  const [first, ...others] = Object.entries(LEVELS).map(([level, text]) => `if eq . "${level}" }}${text}{{ `);
  return `{{ ${first}${others.map((branch) => `else ${branch}`).join("")}else }}{{ . }}{{ end }}`;
}

/** Sets `$all`, whether all ends are news: what could not be told for long is told of nothing else. */
const WHICH = `{{ $all := not .Alerts.Firing }}{{ range .Alerts.Resolved }}{{ if ${isRecent()} }}{{ $all = false }}{{ end }}{{ end -}}`;

function isRecent(): string {
  return `lt (since .EndsAt).Seconds ${TOLD_SECONDS}.0`;
}

/** What is done for each end that is news. */
const forEnds = (content: string): string =>
  `{{ range .Alerts.Resolved }}{{ if or $all (${isRecent()}) }}${content}{{ end }}{{ end }}`;

const SUBJECT = `{{ define "technicia.subject" -}}
${WHICH}
{{ if eq .Status "firing" }}[{{ with .CommonLabels.level }}{{ . }}, {{ end }}{{ .CommonLabels.severity }}] {{ .CommonLabels.stack }} : {{ template "technicia.first" .Alerts.Firing }}
{{- else }}[Résolu] {{ .CommonLabels.stack }} : {{ $marks := "" }}${forEnds('{{ if not $marks }}{{ template "technicia.title" . }}{{ end }}{{ $marks = printf "%s." $marks }}')}
{{- if gt (len $marks) 1 }} ({{ len $marks }} alertes){{ end }}{{ end }}
{{- end }}`;

/** A code shows during a test which receiver's message somebody has seen. */
const CODE = `index .Annotations (printf "code_%s" $.Receiver)`;

/** Of a test there is no threshold. */
const VALUE = "{{ .Annotations.value }}{{ with .Annotations.threshold }} (seuil : {{ . }}){{ end }}";

/** What to type; an id may have blanks. */
const acknowledge = (stack: string) => `npm run alerts -- ${stack} ack '{{ .Labels.id }}' --comment "…"`;

function renderText(stack: string): string {
  return `{{ define "technicia.text" -}}
${WHICH}
{{ range .Alerts.Firing }}{{ .Annotations.title }}

Où : {{ .Labels.stack }}, {{ .Annotations.where }}
Depuis : {{ template "technicia.time" .StartsAt }}
Gravité : {{ template "technicia.level" .Labels.severity }}
Valeur : ${VALUE}
Ce que cela veut dire : {{ .Annotations.meaning }}
Que faire : {{ .Annotations.action }}
Procédure : {{ .Annotations.runbook }}
S'en charger : ${acknowledge(stack)}
{{ with ${CODE} }}Code de ce message : {{ . }}
{{ end }}
{{ end }}${forEnds(`Résolu : {{ .Annotations.title }}

Où : {{ .Labels.stack }}, {{ .Annotations.where }}
Depuis : {{ template "technicia.time" .StartsAt }}
Fin : {{ template "technicia.time" .EndsAt }}
{{ with ${CODE} }}Code de ce message : {{ . }}
{{ end }}
`)}{{ end }}`;
}

function renderHtml(stack: string): string {
  const row = (name: string, content: string) =>
    `<tr><th align="left" valign="top">${name}</th><td>${content}</td></tr>`;
  const code = `{{ with ${CODE} }}${row("Code de ce message", "<strong>{{ . }}</strong>")}{{ end }}`;
  const where = row("Où", "{{ .Labels.stack }}, {{ .Annotations.where }}");
  const since = row("Depuis", '{{ template "technicia.time" .StartsAt }}');
  const firing = [
    where,
    since,
    row("Gravité", '{{ template "technicia.level" .Labels.severity }}'),
    row("Valeur", VALUE),
    row("Ce que cela veut dire", "{{ .Annotations.meaning }}"),
    row("Que faire", "{{ .Annotations.action }}"),
    row("Procédure", "{{ .Annotations.runbook }}"),
    row("S'en charger", `<code>${acknowledge(stack)}</code>`),
    code,
  ].join("\n");
  const resolved = [where, since, row("Fin", '{{ template "technicia.time" .EndsAt }}'), code].join("\n");
  return `{{ define "technicia.html" -}}
<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head><body>
${WHICH}
{{ range .Alerts.Firing }}<h2>{{ .Annotations.title }}</h2>
<table cellpadding="4">
${firing}
</table>
{{ end }}${forEnds(`<h2>Résolu : {{ .Annotations.title }}</h2>
<table cellpadding="4">
${resolved}
</table>
`)}</body></html>
{{- end }}`;
}

/** What an announcement says, in this order; what it does not have is left out. */
const ANNOUNCED = [
  ["Quoi", "what"],
  ["Où", "where"],
  ["Depuis", "since"],
  ["Qui", "by"],
  ["Version", "release"],
  ["Résultat", "result"],
  ["Durée", "duration"],
  ["Motif", "reason"],
  ["Fenêtre", "window"],
] as const;

/** One announcement is one group, and so one message. */
function renderAnnouncements(): string {
  const lines = ANNOUNCED.map(([name, key]) => line(key, (content) => `${name} : ${content}\n`));
  const rows = ANNOUNCED.map(([name, key]) =>
    line(key, (content) => `<tr><th align="left" valign="top">${name}</th><td>${content}</td></tr>\n`),
  );
  return `{{ define "announcement.subject" -}}
{{ range .Alerts }}[info] {{ .Labels.stack }} : {{ .Annotations.title }}{{ end }}
{{- end }}
{{ define "announcement.text" -}}
{{ range .Alerts }}${lines.join("")}{{ end }}{{ end }}
{{ define "announcement.html" -}}
<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head><body>
{{ range .Alerts }}<h2>{{ .Annotations.title }}</h2>
<table cellpadding="4">
${rows.join("")}</table>
{{ end }}</body></html>
{{- end }}`;
}

function line(key: (typeof ANNOUNCED)[number][1], render: (content: string) => string): string {
  if (key === "since") return render('{{ template "technicia.time" .StartsAt }}');
  if (key === "where") return render("{{ .Labels.stack }}, {{ .Annotations.where }}");
  return `{{ with .Annotations.${key} }}${render("{{ . }}")}{{ end }}`;
}
