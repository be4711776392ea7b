/** Settings that are unusual and legal work; those that only look right are refused with the form to use. */
import { describe, expect, it } from "vitest";

import { change, problemsOf, publicKey, validSettings } from "../support/fixtures.ts";

/** Of the valid settings with one other value; none when they are still right. */
function problemsWith(path: string, value: unknown): string[] {
  const settings = validSettings();
  change(settings, path, value);
  return problemsOf(settings);
}

/** The one problem that names the setting. */
function problemWith(path: string, value: unknown): string {
  const found = problemsWith(path, value).filter((problem) => problem.startsWith(`technicia:${path}: `));
  expect(found).toHaveLength(1);
  return found[0]!;
}

describe("host names", () => {
  it.each([
    ["Technicia.Exemple.FR", "technicia.exemple.fr"],
    ["téchnicia.exemple.fr", "xn--tchnicia-b1a.exemple.fr"],
    ["ｔｅｃｈｎｉｃｉａ.exemple.fr", "technicia.exemple.fr"],
    ["technicia.exemple.fr.", "technicia.exemple.fr"],
    [" technicia.exemple.fr", "technicia.exemple.fr"],
    ["technicia.exemple.fr:443", "technicia.exemple.fr"],
    ["https://Technicia.exemple.fr/", "technicia.exemple.fr"],
    ["technicia.exemple.fr/", "technicia.exemple.fr"],
  ])("%j is refused with the name to use", (given, name) => {
    expect(problemWith("domain", given)).toBe(
      `technicia:domain: expected "${name}", the name as DNS has it, got ${JSON.stringify(given)}; ` +
        `set it with pulumi config set technicia:domain ${name} --stack test`,
    );
  });

  it.each([
    "technicia_1.exemple.fr",
    "*.exemple.fr",
    "192.0.2.1",
    "te--st.exemple.fr",
    "exemple",
    "-a.exemple.fr",
  ])("%j is refused, because no form of it would do", (given) => {
    expect(problemWith("domain", given)).toContain("expected a host name without scheme or port");
  });

  it.each([
    "xn--tchnicia-b1a.exemple.fr",
    "1.2.3.exemple.fr",
    `${"a".repeat(63)}.exemple.fr`,
    "a-b.exemple.fr",
  ])("%j is accepted", (given) => {
    expect(problemsWith("domain", given)).toEqual([]);
  });

  it("does not repeat the password of an address", () => {
    expect(problemWith("domain", "https://ada:geheim@technicia.exemple.fr")).not.toContain("geheim");
  });

  it.each(["dns.zone", "adminEmail"])("have their own form in %s, too", (path) => {
    const [at, of] = path === "dns.zone" ? ["", "name as DNS has"] : ["ada@", "address as mail servers have"];

    expect(problemWith(path, `${at}Exämple.fr`)).toContain(`expected "${at}xn--exmple-cua.fr", the ${of} it`);
  });
});

describe("time zones", () => {
  it.each([
    ...["UTC", "GMT", "Etc/UTC", "Etc/GMT+5", "Etc/GMT-14", "Etc/GMT0", "Zulu"],
    ...["Europe/Paris", "Europe/Kiev", "Europe/Kyiv", "Asia/Calcutta", "Asia/Kolkata", "America/New_York"],
    ...["US/Pacific", "EST5EDT", "CET", "GB", "America/Argentina/ComodRivadavia", "America/Ciudad_Juarez"],
  ])("%s is accepted, as systemd and n8n do", (zone) => {
    expect(problemsWith("locale.timeZone", zone)).toEqual([]);
  });

  it.each([
    ...["posixrules", "localtime", "Factory", "posix/Europe/Paris", "right/Europe/Paris", "tzdata.zi"],
    ...[
      "+02:00",
      "europe/paris",
      "AST",
      "JST",
      "SystemV/EST5",
      "Etc/GMT+13",
      "Etc/GMT-15",
      "Europe/Lyon",
      "../etc/passwd",
    ],
  ])("%s is refused", (zone) => {
    expect(problemWith("locale.timeZone", zone)).toContain("expected a time zone of the IANA list");
  });
});

describe("names of n8n's owner", () => {
  const path = "services.n8n.owner.lastName";

  it.each([
    "d'Été-Ångström",
    "St. John",
    "Nguyễn Văn A",
    "李",
    "O\u00a0Brien",
    `"le Grand"`,
    "a".repeat(32),
    "Ltd.",
  ])("%j is accepted, as n8n does", (name) => {
    expect(problemsWith(path, name)).toEqual([]);
  });

  it.each(["<b>", "a > b", "www.", "http://x", "a".repeat(33), "  ", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"])(
    "%j is refused, as n8n does",
    (name) => {
      expect(problemWith(path, name)).toContain(
        "expected a name of at most 32 characters, without <, > or a dot",
      );
    },
  );

  it.each([
    ["J.R. Tolkien", "J. R. Tolkien"],
    ["exemple.fr", "exemple. fr"],
    ["no.1", "no. 1"],
  ])("%j is refused with a form that n8n takes", (name, form) => {
    expect(problemWith(path, name)).toContain(
      `expected "${form}", because n8n takes a dot right before a letter for an address, got "${name}"; ` +
        `set it with pulumi config set --path technicia:${path} '${form}'`,
    );
  });
});

describe("images", () => {
  const digest = `sha256:${"a".repeat(64)}`;

  it.each([
    ...[
      "nginx:1.30.4-alpine",
      "library/nginx:1.30.4",
      "docker.io/library/nginx:1.30.4",
      "index.docker.io/library/nginx:1.30.4",
    ],
    ...[
      "registry.exemple.fr/nginx:1.30.4",
      "registry.exemple.fr:5000/a/b/c/nginx:1.30.4",
      "localhost:5000/nginx:1.30.4",
    ],
    ...[`nginx@${digest}`, `nginx:alpine@${digest}`, `registry.exemple.fr:5000/nginx:1.30.4@${digest}`],
    ...["registry.exemple.fr/a__b/c-d/e.f/nginx:1.30.4", "192.0.2.1:5000/nginx:1.30.4"],
  ])("%s is accepted", (name) => {
    expect(problemsWith("images.gateway", name)).toEqual([]);
  });

  it.each([
    ["https://registry.exemple.fr/nginx:1.30.4", "registry.exemple.fr/nginx:1.30.4"],
    ["docker://nginx:1.30.4", "nginx:1.30.4"],
    ["Registry.Exemple.FR/Nginx:1.30.4-Alpine", "registry.exemple.fr/nginx:1.30.4-Alpine"],
    [` nginx@SHA256:${"A".repeat(64)}`, `nginx@${digest}`],
  ])("%j is refused with the name to use", (given, name) => {
    expect(problemWith("images.gateway", given)).toContain(
      `expected "${name}", the image as registries name it`,
    );
  });

  it.each([
    ...[
      "registry.exemple.fr:5000/nginx",
      "registry.exemple.fr:5000",
      "nginx@sha256:abc",
      `nginx@sha512:${"a".repeat(128)}`,
    ],
    ...[
      "a//nginx:1.30.4",
      "/nginx:1.30.4",
      "nginx:1.30.4@",
      "a..b/nginx_:1.30.4",
      "nginx:1.30.4:2",
      "nginx :1.30.4",
    ],
  ])("%j is refused", (name) => {
    expect(problemWith("images.gateway", name)).toContain(
      "expected an image with an exact version or a digest",
    );
  });

  it("do not show a password in their name", () => {
    expect(problemWith("images.gateway", "ada:geheim@registry.exemple.fr/nginx:1.30.4")).not.toContain(
      "geheim",
    );
  });
});

describe("the registry of the own images", () => {
  it.each([
    ...[
      "registry.exemple.fr",
      "registry.exemple.fr/technicia",
      "registry.exemple.fr:5000/a/b",
      "localhost:5000",
    ],
    ...["docker.io/technicia", "ghcr.io/exemple/technicia"],
  ])("%s is accepted", (registry) => {
    expect(problemsWith("images.registry", registry)).toEqual([]);
  });

  it.each([
    ["https://registry.exemple.fr/technicia/", "registry.exemple.fr/technicia"],
    ["Registry.exemple.fr/Technicia", "registry.exemple.fr/technicia"],
    ["technicia", "docker.io/technicia"],
    ["index.docker.io/technicia", "docker.io/technicia"],
    ["registry-1.docker.io/technicia", "docker.io/technicia"],
    ["https://hub.docker.com/technicia", "docker.io/technicia"],
  ])("%j is refused with the form to use", (given, registry) => {
    expect(problemWith("images.registry", given)).toContain(
      `expected "${registry}", as the names of its images begin, got "${given}"; set it with pulumi config set --path technicia:images.registry ${registry} --stack test`,
    );
  });

  it.each(["docker.io", "index.docker.io", "registry.exemple.fr/a:1", "registry.exemple.fr//a", "-a.fr/b"])(
    "%j is refused",
    (registry) => {
      expect(problemWith("images.registry", registry)).toContain("expected a registry without scheme");
    },
  );
});

describe("address ranges", () => {
  it.each(["198.51.100.7/032", "198.51.100.0/024", "198.51.100.07/32", "0x7f.0.0.0/8"])(
    "%s is refused, because programs read it differently",
    (range) => {
      expect(problemsWith("ssh.adminCidrs.v4", [range]).join()).toMatch(
        /^technicia:ssh\.adminCidrs\.v4\[0\]: expected an IPv4 range/,
      );
    },
  );
});

describe("characters that nobody sees", () => {
  it.each([
    ["domain", "technicia.exemple.fr\u200b", `"technicia.exemple.fr\\u{200b}"`, "U+200B"],
    ["domain", "\ufefftechnicia.exemple.fr", `"\\u{feff}technicia.exemple.fr"`, "U+FEFF"],
    ["adminEmail", "ada\u00ad@exemple.fr", `"ada\\u{ad}@exemple.fr"`, "U+00AD"],
    ["locale.timeZone", "Europe/Paris\r", `"Europe/Paris\\r"`, "U+000D"],
    ["services.n8n.owner.firstName", "A\u202eda", `"A\\u{202e}da"`, "U+202E"],
    ["ssh.privateKeyFile", "~/.ssh/id\u2028", `"~/.ssh/id\\u{2028}"`, "U+2028"],
    ["ssh.publicKey", `${publicKey}\r`, `a text of ${publicKey.length + 1} characters`, "U+000D"],
  ])("are named in %s (%j)", (path, given, shown, name) => {
    expect(problemWith(path, given)).toMatch(
      `technicia:${path}: expected a text without invisible characters, got ${shown}, with ${name}; type it anew: pulumi config set `,
    );
  });

  it("are written out where a space is another than it looks", () => {
    expect(problemWith("locale.timeZone", "Europe/\u00a0Paris")).toContain('got "Europe/\\u{a0}Paris"');
  });

  it("do not make a token visible", () => {
    expect(problemWith("ssh.hostKey", `0123456789abcdef${"\u200b"}0123456789abcdef`)).not.toContain(
      "0123456789",
    );
  });
});
