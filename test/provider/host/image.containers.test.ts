import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { Plugin } from "../plugin-process.ts";

const IMAGE = "technicia:host:Image";
const DIGEST = `sha256:${"a".repeat(64)}`;
const NEXT = `sha256:${"b".repeat(64)}`;

/** Docker and its daemon as far as an image needs them: a registry is a folder of digests, and so is what was pulled. */
const DOCKER = `
mkdir -p /srv/registry /srv/pulled
cat > /usr/local/bin/docker <<'SCRIPT'
#!/bin/bash
key() { tr '/:@' '___' <<< "$1"; }
case "$1 $2" in
"image pull")
  if test -e /srv/fault; then cat /srv/fault >&2; exit 1; fi
  if [[ $3 == *@* ]]; then digest=\${3#*@}; else
    digest=$(cat "/srv/registry/$(key "$3")" 2>/dev/null) || { echo "Error response from daemon: manifest for $3 not found: manifest unknown: manifest unknown" >&2; exit 1; }
  fi
  echo "1.0.0: Pulling from a"; echo "Digest: $digest"; echo "Status: Downloaded newer image"
  touch "/srv/pulled/\${digest#sha256:}" ;;
"image inspect") last=\${!#}; test -e "/srv/pulled/\${last#*@sha256:}" && echo present ;;
"image rm") if test -e /srv/used; then echo "conflict: in use" >&2; exit 1; fi; rm "/srv/pulled/\${3#*@sha256:}" ;;
"version --format") if test -e /srv/fault; then cat /srv/fault >&2; exit 1; fi; echo gone ;;
esac
SCRIPT
cat > /usr/local/bin/curl <<'SCRIPT'
#!/bin/bash
name=\${!#}; name=\${name#http://localhost/distribution/}; name=\${name%/json}
if digest=$(cat "/srv/registry/$(tr '/:@' '___' <<< "$name")" 2>/dev/null); then
  printf '{"Descriptor":{"digest":"%s","size":1}}\\n200' "$digest"
else
  printf '{"message":"manifest unknown: manifest unknown"}\\n\\n404'
fi
SCRIPT
chmod 755 /usr/local/bin/docker /usr/local/bin/curl
`;

let host: TestHost;
let plugin: Plugin;

const publish = (name: string, digest: string) =>
  host.exec(`echo ${digest} > /srv/registry/$(tr '/:@' '___' <<< '${name}')`);
const create = (name: string) => plugin.create(IMAGE, "image", { name });

beforeAll(async () => {
  host = await startHost();
  await host.exec(DOCKER);
});
afterAll(async () => {
  await plugin.stop();
  await host.stop();
});
beforeEach(async () => {
  await publish("team/a:1.0.0", DIGEST);
  await publish("team/a:1.0.1", NEXT);
  plugin = await Plugin.renew(plugin, loginOf(host));
});
afterEach(async () => {
  await host.exec("rm -rf /srv/pulled/* /srv/registry/* /srv/fault /srv/used");
});

describe("Image", () => {
  it("pulls the image and returns its name with the digest", async () => {
    const made = await create("team/a:1.0.0");

    expect(made.state).toMatchObject({ name: "team/a:1.0.0", reference: `team/a:1.0.0@${DIGEST}` });
    expect(await host.exec("ls /srv/pulled")).toContain("a".repeat(64));
  });

  it("keeps the digest of a pinned name", async () => {
    const made = await create(`team/a:1.0.0@${NEXT}`);

    expect(made.state).toMatchObject({ reference: `team/a:1.0.0@${NEXT}` });
  });

  it("needs no registry for a pinned image that the host has", async () => {
    await create(`team/a:1.0.0@${NEXT}`);
    await host.exec("echo 'registry is down' > /srv/fault");

    expect((await create(`team/a:1.0.0@${NEXT}`)).state).toMatchObject({ reference: `team/a:1.0.0@${NEXT}` });
  });

  it("keeps the digest when the tag is pushed again, and reads the new one on an update", async () => {
    const made = await create("team/a:1.0.0");
    await publish("team/a:1.0.0", NEXT);

    expect((await plugin.read(made))?.state).toMatchObject({
      reference: `team/a:1.0.0@${DIGEST}`,
    });
  });

  it("reads a removed image as gone", async () => {
    const made = await create("team/a:1.0.0");
    await host.exec("rm /srv/pulled/*");

    expect(await plugin.read(made)).toBeUndefined();
  });

  it("fails to read while the daemon is down, and does not report the image as gone", async () => {
    const made = await create("team/a:1.0.0");
    await host.exec("rm /srv/pulled/*; echo 'Cannot connect to the Docker daemon' > /srv/fault");

    await expect(plugin.read(made)).rejects.toThrow("Cannot connect to the Docker daemon");
  });

  it("shows the new digest in the preview, without pulling", async () => {
    const made = await create("team/a:1.0.0");
    const shown = await plugin.update(made, { name: "team/a:1.0.1" }, { preview: true });

    expect(shown.state).toMatchObject({ reference: `team/a:1.0.1@${NEXT}` });
    expect(await host.exec("ls /srv/pulled")).not.toContain("b".repeat(64));
  });

  it("fails the preview for a name that the registry does not have", async () => {
    const made = await create("team/a:1.0.0");

    await expect(plugin.update(made, { name: "team/a:9.9.9" }, { preview: true })).rejects.toThrow(
      /image: expected team\/a:9\.9\.9 in its registry, got .*manifest unknown.*; build it with npm run images -- build test if .* check its name/,
    );
  });

  it.each([
    ["Error response from daemon: pull access denied for team/a", /image: \S+ may not pull team\/a:1\.0\.0/],
    ["write /var/lib/docker: no space left on device", /no room for team\/a:1\.0\.0 on .*; free space there/],
    [
      "Error response from daemon: Get https://registry/: dial tcp: timeout",
      /could not pull .*dial tcp: timeout; fix this and retry/,
    ],
    ["Error response from daemon: manifest unknown", /expected team\/a:1\.0\.0 in its registry/],
  ])("explains what to do about %j", async (fault, told) => {
    await host.exec(`cat > /srv/fault <<'EOF'\n${fault}\nEOF`);

    await expect(create("team/a:1.0.0")).rejects.toThrow(told);
  });

  it("is removed on deletion, unless a container needs it", async () => {
    const made = await create("team/a:1.0.0");
    await host.exec("touch /srv/used");
    await plugin.delete(made);
    expect(await host.exec("ls /srv/pulled")).toContain("a".repeat(64));

    await host.exec("rm /srv/used");
    await plugin.delete(made);
    expect(await host.exec("ls /srv/pulled")).toBe("");
  });

  it("refuses an invalid image name", async () => {
    const { problems } = await plugin.check(IMAGE, { name: "Team/A; rm" });

    expect(problems).toEqual([expect.stringContaining("expected an image's name with tag or digest")]);
  });
});
