import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { script, scriptParts } from "../../common/script.ts";
import { programsOf } from "../../infra/programs.ts";

const folderOf = (file: string) => new URL(`../../infra/scripts/${file}`, import.meta.url);
const LABELS = scriptParts(folderOf("swarm-labels.sh"), ["nodes", "observe", "apply"]);
const MEMBER = programsOf("swarm-member.sh");
const HEARD = scriptParts(folderOf("wireguard-heard.sh"), ["observe", "apply"]);

/** Docker's client and others, which keep their words; answers are files of the folder. */
const DOCKER = `#!/bin/bash
echo "docker $*" >> "$FOLDER/calls"
case $* in
  "info --format {{.Swarm.ControlAvailable}}") cat "$FOLDER/manages" ;;
  "info"*) cat "$FOLDER/info" ;;
  "node ls --quiet") jq --raw-output '.[].ID' "$FOLDER/nodes" ;;
  "node inspect "*println*) jq --raw-output '.[0].Spec.Labels | keys[]' "$FOLDER/nodes"; echo ;;
  "node inspect"*) cat "$FOLDER/nodes" ;;
  "swarm join-token --quiet"*) echo SWMTKN-of-a-manager ;;
esac
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-swarm-"));
  await install("docker", DOCKER);
  await writeFile(join(folder, "manages"), "true\n");
  await writeFile(join(folder, "nodes"), "[]");
  await writeFile(join(folder, "calls"), "");
});
afterEach(() => rm(folder, { recursive: true }));

async function install(name: string, text: string): Promise<void> {
  await writeFile(join(folder, name), text);
  await chmod(join(folder, name), 0o755);
}

const calls = async () => (await readFile(join(folder, "calls"), "utf8")).trim().split("\n");

async function run(text: string, variables: Readonly<Record<string, string>> = {}, input?: string) {
  const environment = { FOLDER: folder, PATH: `${folder}:/usr/bin:/bin`, ...variables };
  const result = await tryRun(["bash", "--norc", "-euo", "pipefail", "-c", text], {
    environment,
    ...(input === undefined ? {} : { input }),
  });
  return { code: result.code, said: result.stdout.trim(), complained: result.stderr.trim() };
}

describe("the tunnel's configuration", () => {
  it("is looked at under the name of its interface, as wg-quick demands", async () => {
    await install(
      "wg-quick",
      `#!/bin/bash
[[ $1 = strip && $2 =~ /[a-zA-Z0-9_=+.-]{1,15}\\.conf$ ]] && grep --quiet PrivateKey "$2"`,
    );
    const validate = script(folderOf("wireguard-validate.sh"));
    const check = async (text: string) => {
      await writeFile(join(folder, "wg0.conf.technicia-new-1a2b3c4d"), text);
      return await run(validate, { FILE: join(folder, "wg0.conf.technicia-new-1a2b3c4d"), TMPDIR: folder });
    };

    expect((await check("PrivateKey = x\n")).code).toBe(0);
    expect((await check("nonsense\n")).code).not.toBe(0);
    expect((await readdir(folder)).filter((name) => name.startsWith("tmp"))).toEqual([]);
  });
});

describe("the door to the Swarm", () => {
  const own = "a".repeat(64);

  async function knock(words: string) {
    await writeFile(join(folder, "list"), `gra-2 manager ${own}\nsbg-1 worker ${"b".repeat(64)}\n`);
    const text = script(folderOf("swarm-door.sh"))
      .replace("/etc/technicia/swarm-door", join(folder, "list"))
      .replace("/run/technicia-swarm-door.lock", join(folder, "lock"));
    return run(text, {}, words);
  }

  it("gives a token of its role to a server with its own proof, and makes that one invalid afterwards", async () => {
    expect(await knock(`gra-2 ${own}\njoined\n`)).toMatchObject({
      code: 0,
      said: "token SWMTKN-of-a-manager",
    });
    const made = (await calls()).filter((call) => call.includes("join-token"));

    expect(made).toEqual([
      "docker swarm join-token --quiet manager",
      "docker swarm join-token --rotate --quiet manager",
    ]);
  });

  it("makes the token invalid as well when the server goes away without a word", async () => {
    await knock(`gra-2 ${own}\n`);

    expect((await calls()).at(-1)).toBe("docker swarm join-token --rotate --quiet manager");
  });

  it.each([
    ["with a proof of another server", `gra-2 ${"b".repeat(64)}`],
    ["with a name that is not in the list", `gra-9 ${own}`],
    ["without a proof", "gra-2 "],
    ["with a pattern", "* *"],
  ])("refuses who comes %s, and asks Docker nothing", async (_what, words) => {
    expect(await knock(`${words}\n`)).toMatchObject({ code: 0, said: "refused" });
    expect(await calls()).toEqual([""]);
  });

  it.each(["certificate", "certificate nothing", "shell"])(
    "refuses %s to a server whose line does not name it, which it lets in all the same",
    async (wish) => {
      expect(await knock(`gra-2 ${own} ${wish}\n`)).toMatchObject({ code: 0, said: "refused" });
      expect(await knock(`gra-2 ${own}\n`)).toMatchObject({ said: "token SWMTKN-of-a-manager" });
    },
  );

  it("says nothing to who says nothing", async () => {
    expect(await knock("")).toMatchObject({ code: 0, said: "" });
  });

  it("has no token while its server is in no Swarm", async () => {
    await writeFile(join(folder, "manages"), "false\n");

    expect(await knock(`gra-2 ${own}\n`)).toMatchObject({ said: "none" });
    expect((await calls()).filter((call) => call.includes("join-token"))).toEqual([]);
  });
});

describe("a server's membership", () => {
  const variables = { SERVER: "gra-1", ADDRESS: "10.86.0.1", DOORS: "", FIRST: "yes", PROOF: "p" };
  const begun =
    "docker swarm init --listen-addr 10.86.0.1:2377 --advertise-addr 10.86.0.1 --data-path-addr 10.86.0.1";

  it("is said with its address", async () => {
    await writeFile(join(folder, "info"), "active, at 10.86.0.1\n");

    expect((await run(MEMBER.observe)).said).toBe("active, at 10.86.0.1");
  });

  it("begins on the first server when no other one votes", async () => {
    expect(await run(MEMBER.apply, { ...variables, OBSERVED: "inactive, at " })).toMatchObject({ code: 0 });
    expect(await calls()).toContain(begun);
  });

  it("keeps the services of a server that was alone until now", async () => {
    await writeFile(join(folder, "nodes"), JSON.stringify([{ ID: "one" }]));

    expect(await run(MEMBER.apply, { ...variables, OBSERVED: "active, at 127.0.0.1" })).toMatchObject({
      code: 0,
    });
    expect(await calls()).toContain(begun.replace("init", "init --force-new-cluster"));
  });

  it.each([
    ["on a server among others", "yes", ["one", "two"]],
    ["on another server than the first", "no", ["one"]],
  ])(
    "fails when Docker is in a Swarm at another address %s, and changes nothing",
    async (_what, FIRST, ids) => {
      await writeFile(join(folder, "nodes"), JSON.stringify(ids.map((ID) => ({ ID }))));
      const { code, complained } = await run(MEMBER.apply, {
        ...{ ...variables, FIRST },
        OBSERVED: "active, at 192.0.2.1",
      });

      expect(code).toBe(1);
      expect(complained).toBe(
        "server gra-1: expected a member of the Swarm at 10.86.0.1, got one that is at 192.0.2.1; if it is in another Swarm, or had another address, run docker swarm leave on it once nothing runs there, and deploy again",
      );
      expect((await calls()).filter((call) => call.includes("init"))).toEqual([]);
    },
  );

  it("joins through the door of another server, with the token on no command line, and says when it is in", async () => {
    await install("curl", '#!/bin/bash\necho "curl $*" >> "$FOLDER/calls"\ncat > "$FOLDER/request"\n');
    const heard: string[] = [];
    const door = createServer((socket) => {
      socket.on("error", () => undefined);
      let told = "";
      socket.on("data", (data) => {
        told += data.toString();
        heard.push(...data.toString().trim().split("\n"));
        if (told.includes("joined")) socket.end();
        else socket.write("token SWMTKN-1-secret\n");
      });
    });
    // The port is that of every door; the address is this test's own.
    await new Promise<void>((resolve) => door.listen(7947, "127.0.0.77", resolve));
    try {
      const joining = { ...variables, FIRST: "no", DOORS: "127.0.0.77", OBSERVED: "inactive, at " };
      expect(await run(MEMBER.apply, joining)).toMatchObject({ code: 0, complained: "" });
    } finally {
      door.close();
    }

    expect(heard).toEqual(["gra-1 p", "joined"]);
    expect(JSON.parse(await readFile(join(folder, "request"), "utf8"))).toEqual({
      ListenAddr: "10.86.0.1:2377",
      AdvertiseAddr: "10.86.0.1",
      DataPathAddr: "10.86.0.1",
      RemoteAddrs: ["127.0.0.77:2377"],
      JoinToken: "SWMTKN-1-secret",
    });
    expect((await calls()).join("\n")).not.toContain("secret");
  });

  it.each([
    ["active, at 10.86.0.1", ["docker swarm leave --force"]],
    // It was removed in order, and Docker would fail.
    ["inactive, at", [""]],
  ])("ends when the settings lose the server: %s", async (OBSERVED, expected) => {
    expect(await run(MEMBER.remove, { ...variables, OBSERVED })).toMatchObject({ code: 0 });
    expect(await calls()).toEqual(expected);
  });

  it("never begins a second Swarm while another server that votes does not answer", async () => {
    await install("sleep", "#!/bin/bash\n");
    const { code, complained } = await run(MEMBER.apply, {
      ...variables,
      // Nobody listens there on the port of the door.
      DOORS: "127.0.0.9",
      OBSERVED: "inactive, at ",
    });

    expect(code).toBe(1);
    expect(complained).toContain(
      "expected an answer of a server in the Swarm, got none from 127.0.0.9; start it",
    );
    expect((await calls()).filter((call) => call.includes("init"))).toEqual([]);
  });
});

describe("what a server is in the Swarm", () => {
  const node = (ID: string, address: string, state: string, more: object = {}) => ({
    ID,
    Spec: { Availability: "active", Role: "worker", Labels: { old: "1", "technicia.n8n": "1" } },
    Status: { State: state, Addr: address },
    ...more,
  });
  const variables = {
    SERVER: "gra-2",
    ADDRESS: "10.86.0.2",
    AVAILABILITY: "active",
    ROLE: "manager",
    LABELS: "technicia.gateway=1 technicia.n8n=1",
  };
  const observe = `${LABELS.nodes}\n${LABELS.observe}`;
  const apply = `${LABELS.nodes}\n${LABELS.apply}`;

  it("is what a manager knows of the node at its address", async () => {
    await writeFile(
      join(folder, "nodes"),
      JSON.stringify([
        node("other", "10.86.0.3", "ready"),
        node("own", "0.0.0.0", "ready", { ManagerStatus: { Addr: "10.86.0.2:2377" } }),
      ]),
    );

    expect((await run(observe, variables)).said).toBe("active, worker, labels: old=1 technicia.n8n=1");
  });

  it("is nothing while no node has the address", async () => {
    await writeFile(join(folder, "nodes"), JSON.stringify([node("other", "10.86.0.22", "ready")]));

    expect((await run(observe, variables)).said).toBe("not in the Swarm");
  });

  it("gets its role and labels, loses others, and what it was before its disk was installed anew is removed", async () => {
    await writeFile(
      join(folder, "nodes"),
      JSON.stringify([node("before", "10.86.0.2", "down"), node("now", "10.86.0.2", "ready")]),
    );

    expect((await run(observe, variables)).said.split("\n")).toHaveLength(2);
    expect(await run(apply, variables)).toMatchObject({ code: 0 });
    const made = await calls();
    expect(made).toContain("docker node rm --force before");
    expect(made).toContain(
      "docker node update --availability active --role manager --label-rm old --label-add technicia.gateway=1 --label-add technicia.n8n=1 now",
    );
  });
});

describe("who answers through the tunnel", () => {
  beforeEach(() => install("ping", '#!/bin/bash\n[ "${!#}" != 10.86.0.3 ]\n'));

  it("is everybody, or those who do not are named", async () => {
    expect((await run(HEARD.observe, { PEERS: "gra-1=10.86.0.1 gra-2=10.86.0.2" })).said).toBe(
      "every server answers",
    );
    expect((await run(HEARD.observe, { PEERS: "gra-1=10.86.0.1 gra-3=10.86.0.3" })).said).toBe(
      "no answer from gra-3",
    );
  });
});

describe("what nobody declared, where there are several servers", () => {
  const specs = (file: string) => script(new URL(`../../components/scripts/${file}.sh`, import.meta.url));
  const CURL = `#!/bin/bash
case \${!#} in
  */nodes) cat "$FOLDER/nodes" ;;
  */swarm) echo '{ "Spec": {} }' ;;
  *) echo '[]' ;;
esac
`;

  it("is a node that is none of our servers, and neither of ours by either of its addresses", async () => {
    await install("curl", CURL);
    await writeFile(join(folder, "info"), "own\n");
    const node = (ID: string, Addr: string, more: object = {}) => ({
      ...{ ID, Description: { Hostname: `host-${ID}` }, Status: { Addr } },
      ...more,
    });
    const nodes = [
      node("own", "127.0.0.1"),
      node("peer", "10.86.0.2"),
      node("leader", "0.0.0.0", { ManagerStatus: { Addr: "10.86.0.3:2377" } }),
      node("stranger", "192.0.2.9"),
    ];
    await writeFile(join(folder, "nodes"), JSON.stringify(nodes));
    const variables = { SPECS: "[]", NODES: "10.86.0.1 10.86.0.2 10.86.0.3" };
    const found = async (files: readonly string[]) =>
      (await run(`${files.map(specs).join("\n")}\nobserve`, variables)).said
        .split("\n")
        .filter((line) => line.startsWith("node "));

    expect(await found(["extra-specs", "extra-specs-nodes"])).toEqual([
      "node host-stranger at 192.0.2.9 in the Swarm",
    ]);
    expect(await found(["extra-specs"])).toHaveLength(3);
  });

  it("is no listener of the tunnel, nor the door, and still any other", async () => {
    const text = ["extra-ports", "extra-ports-tunnel"]
      .map((file) => script(folderOf(`${file}.sh`)))
      .join("\n");
    const asked = async (...words: readonly string[]) => {
      const quoted = words.map((word) => `'${word}'`).join(" ");
      const { said } = await run(`${text}\nis_declared ${quoted} && echo ours || echo extra`, {
        SSH_PORT: "22",
        TUNNEL_PORT: "51820",
      });
      return said;
    };

    expect(await asked("udp", "0.0.0.0", "51820", "")).toBe("ours");
    expect(await asked("udp", "0.0.0.0", "51820", "/usr/bin/wireguard-go")).toBe("ours");
    expect(await asked("udp", "0.0.0.0", "51820", "/usr/bin/nc.openbsd")).not.toBe("ours");
    expect(await asked("tcp", "10.86.0.1", "7947", "/usr/lib/systemd/systemd")).toBe("ours");
    expect(await asked("tcp", "0.0.0.0", "22", "/usr/sbin/sshd")).toBe("ours");
    expect(await asked("udp", "0.0.0.0", "51821", "")).toBe("extra");
    expect(await asked("tcp", "0.0.0.0", "7947", "/usr/bin/nc")).toBe("extra");
  });
});
