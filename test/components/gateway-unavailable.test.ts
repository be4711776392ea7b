import { describe, expect, it } from "vitest";

import { renderGateway } from "../../components/gateway-config.ts";
import { gatewayConfig } from "../support/gateway.ts";

const text = renderGateway(
  gatewayConfig({ frontend: true, editorDomain: "n8n.technicia.exemple.fr", editorCidrs: ["10.0.0.0/8"] }),
);

/** Entries of an nginx map: source → value. */
function entriesOf(name: string): [source: string, value: string][] {
  const [, body = ""] = new RegExp(`map \\S+ \\${name} \\{\\n([^}]*)\\}`).exec(text) ?? [];
  return body
    .trim()
    .split("\n")
    .map((line) => {
      const [, source = "", value = ""] = /^\s*("[^"]*"|\S+) (\S+);$/.exec(line) ?? [];
      return [source.replaceAll('"', ""), value];
    });
}

/** As nginx looks a value up: the text itself, then the expressions in their order. */
function lookUp(name: string, source: string): string {
  const entries = entriesOf(name);
  const found =
    entries.find(([key]) => key === source) ??
    entries.find(([key]) => key.startsWith("~*") && new RegExp(key.slice(2), "i").test(source)) ??
    entries.find(
      ([key]) => key.startsWith("~") && !key.startsWith("~*") && new RegExp(key.slice(1)).test(source),
    );
  return found?.[1] ?? entries.find(([key]) => key === "default")?.[1] ?? "";
}

function answerFor(uri: string, accept: string): string {
  const value = lookUp("$unavailable", uri);
  return value.startsWith("$") ? lookUp(value, accept) : value;
}

const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const page = /location @maintenance \{[^']*return 503 '([^']*)';/.exec(text)?.[1] ?? "";

describe("what is answered while a service is away", () => {
  it.each([
    ["/", BROWSER, "@maintenance"],
    ["/style.css", BROWSER, "@maintenance"],
    ["/form/demande", BROWSER, "@maintenance"],
    ["/webhook-waiting/12", BROWSER, "@maintenance"],
    ["/home/workflows", "Text/HTML", "@maintenance"],
    ["/", "", "@unavailable"],
    ["/", "*/*", "@unavailable"],
    ["/form/demande", "application/json", "@unavailable"],
    ["/healthz", BROWSER, "@unavailable"],
    ["/api/question", BROWSER, "@unavailable"],
    ["/webhook/anything", BROWSER, "@unavailable"],
    ["/mcp/x", BROWSER, "@unavailable"],
    ["/rest/login", BROWSER, "@unavailable"],
  ])("at %s to %j is %s", (uri, accept, expected) => {
    expect(answerFor(uri, accept)).toBe(expected);
  });

  it("keeps its type whatever the path's ending says", () => {
    for (const name of ["@unavailable", "@maintenance"])
      expect(text).toMatch(new RegExp(`location ${name} \\{\\s+types \\{ \\}\\s+default_type`));
  });

  it("replaces an answer of the frontend's own, and none of n8n's", () => {
    expect(text.match(/proxy_intercept_errors on;/g)).toHaveLength(2);
    expect(text).toMatch(
      /\$target frontend:80;\s+proxy_pass http:\/\/\$target;\s+proxy_intercept_errors on;/,
    );
    expect(text).toMatch(/readiness;\s+proxy_intercept_errors on;\s+error_page [0-9 ]+= @unavailable;/);
  });

  it("is the same in the editor", () => {
    const editor = text.slice(text.indexOf("server_name n8n.technicia.exemple.fr;"));

    expect(editor).toContain("error_page 502 503 504 = $unavailable;");
    expect(editor.match(/location @(?:unavailable|maintenance) \{/g)).toHaveLength(2);
  });
});

describe("the maintenance page", () => {
  it("fits into one parameter of nginx", () => {
    expect(page).toContain("</html>");
    expect(Buffer.byteLength(page)).toBeLessThan(4000);
  });

  it("loads nothing", () => {
    expect(page).not.toMatch(/<(?:script|img|link|iframe)|https?:|url\(|@import/);
  });

  it("is French, for phones, light and dark, and comes again when Retry-After says", () => {
    expect(page).toContain('<html lang="fr">');
    expect(page).toContain('content="width=device-width, initial-scale=1"');
    expect(page).toContain("color-scheme: light dark");
    expect(text).toContain("503 15;");
    expect(page).toContain('<meta http-equiv="refresh" content="15">');
  });

  it("shows the request's id and no other variable", () => {
    expect(page.match(/\$\w+/g)).toEqual(["$request_id"]);
  });
});
