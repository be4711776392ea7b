/** What the gateway answers while something behind it does not: 503 in any case, with a page for people and JSON for programs. */

/** Seconds after which a client, and the page by itself, asks again. */
export const RETRY_SECONDS = 15;

/** Named locations: the one for programs, and the page. */
const FOR_PROGRAMS = "@unavailable";
const FOR_PEOPLE = "@maintenance";

/** Always JSON: some programs say that they accept pages as well. */
const PROGRAM_PATHS = ["api", "webhook", "mcp", "rest"] as const;

/** Which of both a request gets: `$unavailable`. */
export const UNAVAILABLE_MAPS = `  # Browsers ask for a page by name; programs ask for JSON or for anything.
  map $http_accept $unavailable_as_asked {
    "~*text/html" ${FOR_PEOPLE};
    default ${FOR_PROGRAMS};
  }
  map $uri $unavailable {
    /healthz ${FOR_PROGRAMS};
    "~^/(?:${PROGRAM_PATHS.join("|")})/" ${FOR_PROGRAMS};
    default $unavailable_as_asked;
  }
`;

/** What nginx answers by itself in place of a service that does not. n8n's own answers pass, whatever their status; 401 says that a request was held in vain. */
export function whenUnavailable({ hold }: { readonly hold?: object | undefined }): string {
  return `error_page ${hold === undefined ? "" : "401 "}502 503 504 = $unavailable;`;
}

/** The same always as JSON: for /healthz. */
export const UNHEALTHY = `error_page 401 403 404 500 502 503 504 = ${FOR_PROGRAMS};`;

/** Both locations; each server has its own. The empty types keep a path's ending, such as .css, from naming the type of the answer. */
export const UNAVAILABLE_LOCATIONS = `    location ${FOR_PROGRAMS} {
      types { }
      default_type application/json;
      return 503 '{"status":"unavailable"}';
    }
    location ${FOR_PEOPLE} {
      types { }
      default_type "text/html; charset=utf-8";
      return 503 '${renderPage()}';
    }
`;

/** Largest body where nothing is uploaded. */
export const BODY_MAX_MIB = 1;

/** What a request gets that is larger than its route allows; nothing of it reaches n8n. */
export function whenTooLarge(webhook: string): string {
  return `error_page 413 = ${webhook === "upload" ? "@upload_too_large" : "@request_too_large"};`;
}

/** JSON as the workflows refuse a request. */
export function renderTooLargeLocations({ uploadMaxMib }: { readonly uploadMaxMib: number }): string {
  const answers = {
    "@upload_too_large": `Le fichier dépasse ${uploadMaxMib} Mio.`,
    "@request_too_large": `La requête dépasse ${BODY_MAX_MIB} Mio.`,
  };
  return Object.entries(answers)
    .map(
      ([name, text]) => `    location ${name} {
      types { }
      default_type application/json;
      return 413 '${JSON.stringify({ success: false, errors: [text] })}';
    }
`,
    )
    .join("");
}

/**
 * Without any file of its own, because nothing may be there to serve it; colours are the browser's, for light and dark. It stands between
 * quotes in nginx's configuration, where a parameter has fewer than 4096 bytes.
 */
function renderPage(): string {
  return `<!doctype html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="${RETRY_SECONDS}">
<title>TechnicIA est momentanément indisponible</title>
<style>
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center }
main { box-sizing: border-box; max-width: 36rem; padding: 1.5rem }
h1 { font-size: 1.5rem; line-height: 1.25 }
code { overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
<h1>TechnicIA est momentanément indisponible</h1>
<p>Une mise à jour est en cours, ou un service est en panne. En général, cela dure quelques minutes.</p>
<p>Cette page se recharge toute seule. Ce que vous venez d’envoyer n’a peut-être pas été reçu : vérifiez-le avant de l’envoyer de nouveau.</p>
<p>Si cela dure, donnez ce numéro à l’équipe technique :<br><code>$request_id</code></p>
</main>
</body>
</html>
`;
}
