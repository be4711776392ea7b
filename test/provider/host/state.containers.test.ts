import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { CallFailure, Plugin, secret, type Resource } from "../plugin-process.ts";

const STATE = "technicia:host:State";
const CANARY = "canary-77aa0e31c4";

let host: TestHost;
let plugin: Plugin;

beforeAll(async () => {
  host = await startHost();
});
afterAll(async () => {
  await plugin.stop();
  await host.stop();
});
beforeEach(async () => {
  await host.exec("rm -rf /srv/t; mkdir -p /srv/t");
  plugin = await Plugin.renew(plugin, loginOf(host));
});

/** A state that is a line in a file. */
const line = {
  observe: "cat /srv/t/line 2>/dev/null || true",
  desired: "wanted",
  apply: 'echo "$DESIRED" > /srv/t/line; echo applied >> /srv/t/runs',
  remove: "rm /srv/t/line",
};

const create = (inputs: Record<string, unknown>): Promise<Resource> => plugin.create(STATE, "s", inputs);
const exists = (path: string) => async (): Promise<boolean> =>
  (await host.tryExec(`test -e ${path}`)).code === 0;

async function failureOf(work: Promise<unknown>): Promise<CallFailure> {
  const failure = await work.then(
    () => new Error("it succeeded"),
    (error: unknown) => error,
  );
  if (!(failure instanceof CallFailure)) {
    throw failure;
  }
  return failure;
}

describe("State", () => {
  it("applies once and reads the actual state", async () => {
    const state = await create(line);

    expect(state.state["observed"]).toBe("wanted");
    expect(await plugin.read(state)).toEqual(state);
    expect(await host.exec("cat /srv/t/line /srv/t/runs")).toBe("wanted\napplied\n");
  });

  it("applies nothing when the state is already reached", async () => {
    await host.exec("echo wanted > /srv/t/line");

    await create(line);

    expect(await exists("/srv/t/runs")()).toBe(false);
  });

  it("counts how often apply has run", async () => {
    const first = await create(line);
    const again = await plugin.update(first, {
      ...line,
      desired: "other",
      apply: "echo other > /srv/t/line",
    });
    const same = await plugin.update(again, { ...line, desired: "other", apply: "false" });
    const read = await plugin.read(same);

    expect([first, again, same, read].map((one) => one?.state["applied"])).toEqual([1, 2, 2, 2]);
    // The state of before it was counted.
    const old = { ...same.state };
    delete old["applied"];
    expect((await plugin.read({ ...same, state: old }))?.state).toEqual(old);
  });

  it("shows drift as a change of desired, and an update applies again", async () => {
    const state = await create(line);
    await host.exec("echo other > /srv/t/line");

    const drifted = await plugin.read(state);

    expect(drifted?.inputs).toEqual({ ...state.inputs, desired: "other" });
    expect((await plugin.diff(drifted ?? state, line)).detailed).toEqual({ desired: "update" });
    await plugin.update(drifted ?? state, line);
    expect(await host.exec("cat /srv/t/line")).toBe("wanted\n");
  });

  it("reads the state as gone when observe prints nothing", async () => {
    const state = await create(line);
    await host.exec("rm /srv/t/line");

    expect(await plugin.read(state)).toBeUndefined();
  });

  it("passes its variables to the scripts unchanged", async () => {
    const text = `it's "quoted" $HOME \`id\` \\ 漢\nsecond line`;

    const state = await create({
      observe: "cat /srv/t/line 2>/dev/null || true",
      desired: text,
      apply: 'printf "%s\\n%s" "$FIRST" "$SECOND" > /srv/t/line; printf %s "$OBSERVED" > /srv/t/before',
      variables: { FIRST: `it's "quoted" $HOME \`id\` \\ 漢` },
      secrets: secret({ SECOND: "second line" }),
    });

    expect(state.state["observed"]).toBe(text);
    expect(await host.exec("cat /srv/t/before")).toBe("");
  });

  it("applies again when only a secret changes, and not when only a script does", async () => {
    const inputs = { ...line, secrets: { KEY: secret("one") } };
    const state = await create(inputs);

    const rotated = await plugin.update(state, { ...inputs, secrets: { KEY: secret("two") } });
    await plugin.update(rotated, {
      ...inputs,
      secrets: { KEY: secret("two") },
      apply: `${line.apply}; true`,
    });

    expect(await host.exec("cat /srv/t/runs")).toBe("applied\napplied\n");
  });

  it("passes the earlier value of each secret to apply", async () => {
    const apply = `${line.apply}; echo "\${PREVIOUS_KEY-none} $KEY" >> /srv/t/keys`;
    const first = await create({ ...line, apply, secrets: { KEY: secret("one") } });

    await plugin.update(first, { ...line, apply, secrets: { KEY: secret("two") } });

    expect(await host.exec("cat /srv/t/keys")).toBe("none one\none two\n");
  });

  it("runs remove on deletion, and leaves the state when there is none", async () => {
    await plugin.delete(await create(line));
    expect(await exists("/srv/t/line")()).toBe(false);

    const kept = { observe: line.observe, desired: line.desired, apply: line.apply };
    await plugin.delete(await create(kept));
    expect(await exists("/srv/t/line")()).toBe(true);
  });

  it("warns when observe still prints the desired state after remove", async () => {
    const state = await create({ ...line, remove: "true" });

    await plugin.delete(state);

    expect(plugin.logs.map(({ message }) => message)).toContainEqual(
      expect.stringContaining("observe still prints the desired state; the server had it before"),
    );
  });

  it("fails when it is imported", async () => {
    await expect(plugin.import(STATE, "x")).rejects.toThrow(
      "leave import out: creating it applies nothing when the state is already reached",
    );
  });
});

describe("State that is not reached", () => {
  it("fails with both values, and keeps the resource in the state", async () => {
    const failure = await failureOf(
      create({ ...line, desired: "one\nwanted", apply: "printf 'one\\nother\\n' > /srv/t/line" }),
    );

    expect(failure.message).toMatch(
      /s on debian@.*: apply succeeded, but observe prints something other than the desired state:\n {2}- wanted\n {2}\+ other$/,
    );
    expect(failure.partial).toMatchObject({
      id: "s",
      state: { observed: "one\nother", desired: "one\nwanted" },
      reasons: [failure.message],
    });
  });

  it("keeps the resource when apply fails half-way, and the next update continues", async () => {
    const inputs = { ...line, apply: "touch /srv/t/half; cat /srv/t/missing; true" };
    const failure = await failureOf(create(inputs));

    expect(failure.message).toMatch(
      /could not apply s on debian@.*: exit code 1; it printed:\n {2}cat: \/srv\/t\/missing: No such file/,
    );
    expect(failure.partial?.id).toBe("s");
    const { inputs: checked } = await plugin.check(STATE, line);
    const kept = { type: STATE, name: "s", id: "s", inputs: checked, state: failure.partial?.state ?? {} };
    expect((await plugin.update(kept, line)).state["observed"]).toBe("wanted");
  });

  it("keeps no resource when apply never ran", async () => {
    const failure = await failureOf(create({ ...line, observe: "no-such-command" }));

    expect(failure.message).toContain("no-such-command: command not found");
    expect(failure.partial).toBeUndefined();
  });

  it("prints the last twenty lines of a failed script", async () => {
    const failure = await failureOf(create({ ...line, apply: "seq 1 30 >&2; exit 3" }));

    expect(failure.message).toMatch(/exit code 3; it printed:\n {2}11\n {2}12\n[\s\S]*\n {2}30$/);
  });
});

describe("State with secrets", () => {
  it("hides secrets in errors, logs and the state", async () => {
    const inputs = {
      ...line,
      desired: secret(`value ${CANARY}`),
      apply: `echo "setting $KEY"; echo "other $KEY" > /srv/t/line; set -x; : "$KEY"; set +x`,
      secrets: { KEY: secret(CANARY) },
    };

    const failure = await failureOf(create(inputs));

    expect(failure.message).toContain("both are secret (1 and 1 lines)");
    expect(failure.partial?.state).toMatchObject({
      desired: inputs.desired,
      observed: secret(`other ${CANARY}`),
      secrets: inputs.secrets,
    });
    expect(JSON.stringify([failure.message, failure.partial?.reasons, plugin.logs])).not.toContain(CANARY);
    expect(plugin.logs.map(({ message }) => message)).toContain("setting [secret]");
  });

  it("keeps secrets out of command lines and environments on the host", async () => {
    const creating = create({
      ...line,
      apply: `${line.apply}; sleep 600 & touch /srv/t/waiting; until [ -e /srv/t/go ]; do sleep 0.05; done; kill $!`,
      secrets: { KEY: secret(CANARY) },
    });
    await until("apply runs", exists("/srv/t/waiting"));

    const seen = await host.exec(
      "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' || true",
    );

    await host.exec("touch /srv/t/go");
    await creating;
    expect(seen).toContain("sleep\n600");
    expect(seen).not.toContain(CANARY);
  });
});

describe("a script on the host", () => {
  const count = async (): Promise<number> => Number(await host.exec("pgrep -xc sleep || true"));
  const endless = { ...line, apply: "touch /srv/t/waiting; (sleep 4321 & sleep 4321); true" };

  it("is killed with its children when the call is cancelled", async () => {
    const failing = failureOf(create(endless));
    await until("apply runs", exists("/srv/t/waiting"));

    await plugin.cancel();

    expect((await failing).message).toMatch(/could not apply s on debian@.*: cancelled; it was killed there/);
    expect(await count()).toBe(0);
  });

  it("is killed when it takes longer than its limit", async () => {
    const failure = await failureOf(create({ ...endless, timeoutSeconds: 1 }));

    expect(failure.message).toMatch(/took longer than 1 s; it was killed there/);
    expect(await count()).toBe(0);
  });

  it("is killed when customTimeouts are over", async () => {
    const failure = await failureOf(plugin.create(STATE, "s", endless, { timeoutSeconds: 2 }));

    expect(failure.message).toMatch(
      /took longer than the 2 s that customTimeouts allows; it was killed there/,
    );
    expect(failure.partial?.id).toBe("s");
  });

  it("is killed when the plugin is", async () => {
    const failing = create(endless).catch((error: unknown) => error);
    await until("apply runs", exists("/srv/t/waiting"));

    plugin.process.kill("SIGKILL");

    await failing;
    await until("the script has ended", async () => (await count()) === 0);
  });

  it("is killed when it ignores SIGTERM", async () => {
    const failing = failureOf(
      create({ ...line, apply: "trap '' TERM; touch /srv/t/waiting; while :; do sleep 1 || true; done" }),
    );
    await until("apply runs", exists("/srv/t/waiting"));

    await plugin.cancel();

    expect((await failing).message).toContain("it was killed there");
    expect(await count()).toBe(0);
  });

  it("is killed with children that ignore SIGTERM", async () => {
    const apply = "(trap '' TERM; exec sleep 4321) & touch /srv/t/waiting; sleep 4321";
    const failing = failureOf(create({ ...line, apply }));
    await until("apply runs", exists("/srv/t/waiting"));

    await plugin.cancel();

    expect((await failing).message).toContain("it was killed there");
    expect(await count()).toBe(0);
  });

  it("may leave a daemon that holds its output open", async () => {
    const state = await create({ ...line, apply: `${line.apply}; sleep 300 & echo $! > /srv/t/daemon` });

    expect(state.state["observed"]).toBe("wanted");
    expect(await host.exec("kill $(cat /srv/t/daemon) && echo it ran")).toBe("it ran\n");
  });

  it("gets an empty standard input", async () => {
    const state = await create({ ...line, apply: "cat > /srv/t/input; echo wanted > /srv/t/line" });

    expect(state.state["observed"]).toBe("wanted");
    expect(await host.exec("stat -c %s /srv/t/input")).toBe("0\n");
  });

  it("is stopped when it prints without end", async () => {
    const failure = await failureOf(create({ ...line, observe: "yes" }));

    expect(failure.message).toMatch(
      /could not observe s on .*: printed more than 32 MiB; it was killed there/,
    );
  });

  it("reports its progress line by line", async () => {
    await create({ ...line, apply: `echo first; echo second >&2; ${line.apply}` });

    const told = plugin.logs.filter(({ ephemeral }) => ephemeral).map(({ message }) => message);
    expect(told).toEqual(expect.arrayContaining(["first", "second"]));
  });
});
