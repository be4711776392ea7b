// Starts n8n's runner when there is a task for it, as n8n's own launcher does: until then it offers itself to the broker in the runner's place.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";

const RUNNER = "/usr/local/lib/n8n/node_modules/@n8n/task-runner/dist/start.js";
const RUNNER_PORT = "5681";
const TYPE = "javascript";
/** What the runner may know of the launcher's variables; the token is not among it. */
const PASSED = ["PATH", "HOME", "GENERIC_TIMEZONE", "NODE_OPTIONS", "N8N_RUNNERS_MAX_CONCURRENCY"];
const GRACE_MS = 50_000;
const RECONNECT_MS = 5_000;
const LOOK_MS = 10_000;
const MOST_MISSES = 6;

/** A variable's value, or the content of the file that `<name>_FILE` names; a file comes first. */
function read(name, usual) {
  const file = process.env[`${name}_FILE`];
  if (file === undefined) return process.env[name] || usual;
  try {
    return readFileSync(file, "utf8").replace(/[\r\n]+$/, "") || usual;
  } catch {
    return usual;
  }
}

function fail(text) {
  console.error(text);
  process.exit(1);
}

const broker = read("N8N_RUNNERS_TASK_BROKER_URI", "http://127.0.0.1:5679");
const token = read("N8N_RUNNERS_AUTH_TOKEN") ?? fail("N8N_RUNNERS_AUTH_TOKEN: expected a token, got none");
const idleSeconds = read("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT", "15");
const taskSeconds = read("N8N_RUNNERS_TASK_TIMEOUT", "60");
const port = Number(read("N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT", "5680"));
const pollMs = Number(read("N8N_RUNNERS_LAUNCHER_BROKER_READINESS_POLL_INTERVAL_MS", "5000"));
if (!URL.canParse(broker) || !/^https?:$/.test(new URL(broker).protocol))
  fail(`N8N_RUNNERS_TASK_BROKER_URI: expected an address with http://, got "${broker}"`);
if (!Number.isInteger(port) || port < 1 || port > 65535)
  fail("N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT: expected a port");
if (!/^\d+$/.test(idleSeconds)) fail("N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT: expected a number of seconds");
if (process.argv.slice(2).some((type) => type !== TYPE)) fail(`expected no other runner than ${TYPE}`);

const isHealthy = (address) =>
  fetch(`${address}/healthz`, { signal: AbortSignal.timeout(5000) }).then(
    ({ ok }) => ok,
    () => false,
  );

/** Lets one connection to the broker be made. */
async function fetchGrant() {
  const answer = await fetch(`${broker}/runners/auth`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (!answer.ok) fail(`the broker refuses the token with status ${answer.status}`);
  return (await answer.json()).data.token;
}

/** Offers to run a task, for as long as it takes. Resolves with whether the offer was accepted; false when the broker is gone. */
async function offer() {
  const address = new URL(`/runners/_ws?id=${randomBytes(8).toString("hex")}`, broker.replace(/^http/, "ws"));
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${await fetchGrant()}` } });
  const send = (message) => socket.send(JSON.stringify(message));
  return new Promise((resolve) => {
    socket.addEventListener("error", () => resolve(false));
    socket.addEventListener("close", () => resolve(false));
    socket.addEventListener("message", ({ data }) => {
      const { type, taskId } = JSON.parse(data);
      if (type === "broker:inforequest")
        send({ type: "runner:info", name: `launcher-${TYPE}`, types: [TYPE] });
      if (type === "broker:runnerregistered") {
        const offerId = randomBytes(8).toString("hex");
        send({ type: "runner:taskoffer", taskType: TYPE, offerId, validFor: -1 });
        console.log("waiting for a task");
      }
      if (type === "broker:taskofferaccept") {
        // The runner that is started now takes it.
        send({ type: "runner:taskdeferred", taskId });
        resolve(true);
        socket.close();
      }
    });
  });
}

let runner;

/** Runs the runner until it has been idle for long enough. */
async function run() {
  const passed = PASSED.flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]]],
  );
  const env = {
    ...Object.fromEntries(passed),
    NODE_FUNCTION_ALLOW_BUILTIN: "crypto",
    NODE_FUNCTION_ALLOW_EXTERNAL: "moment",
    N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT: idleSeconds,
    N8N_RUNNERS_TASK_TIMEOUT: taskSeconds,
    N8N_RUNNERS_TASK_BROKER_URI: broker,
    N8N_RUNNERS_GRANT_TOKEN: await fetchGrant(),
    N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED: "true",
    N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT: RUNNER_PORT,
  };
  const flags = ["--disallow-code-generation-from-strings", "--disable-proto=delete"];
  runner = spawn(process.execPath, [...flags, RUNNER], { env, stdio: ["ignore", "inherit", "inherit"] });
  const ended = new Promise((resolve) => {
    runner.on("error", ({ message }) => fail(`the runner cannot be started: ${message}`));
    runner.on("exit", (code, signal) => resolve(signal ?? `code ${code}`));
  });
  let misses = 0;
  // Code that never ends keeps the runner from answering; nobody but its launcher can end it.
  const looking = setInterval(async () => {
    misses = (await isHealthy(`http://127.0.0.1:${RUNNER_PORT}`)) ? 0 : misses + 1;
    if (misses === MOST_MISSES) runner.kill("SIGKILL");
  }, LOOK_MS);
  console.log(`the runner has ended with ${await ended}`);
  clearInterval(looking);
  runner = undefined;
}

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    if (runner === undefined) process.exit(0);
    runner.on("exit", () => process.exit(0));
    runner.kill("SIGTERM");
    setTimeout(() => runner?.kill("SIGKILL"), GRACE_MS).unref();
  });
}

createServer(({ method, url }, answer) => {
  const status = url !== "/healthz" ? 404 : method === "GET" ? 200 : 405;
  answer.writeHead(status, { "content-type": "application/json" });
  answer.end(status === 200 ? '{"status":"ok"}\n' : "");
}).listen(port);

for (;;) {
  while (!(await isHealthy(broker))) await wait(pollMs);
  if (await offer()) await run();
  else await wait(RECONNECT_MS);
}
