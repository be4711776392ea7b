// Runs in nginx (njs). Requests to n8n wait here while n8n restarts; their bodies stay in the connections.
// The dictionary is shared by nginx's workers, survives that nginx reads its files again, and is empty after a start: nothing is held then.

const LOOK_MS = 50;

// Whether requests wait now. The flag is its own deadline; one beyond what a pause can set comes from a clock that was set back.
function isPaused(r) {
  const left = (ngx.shared.hold.get("pausedUntil") || 0) - Date.now();
  return left > 0 && left <= maxMs(r);
}

function maxMs(r) {
  return Number(r.variables.hold_max_seconds) * 1000;
}

// A web socket lasts as long as somebody looks at the editor: no end is waited for.
function isCounted(r) {
  return (r.variables.http_upgrade || "").toLowerCase() !== "websocket";
}

// Counted before the flag is looked at: whoever sets the flag and then counts 0 knows that nobody slips through.
function enters(r) {
  if (isCounted(r)) ngx.shared.hold.incr("inFlight", 1, 0);
  if (!isPaused(r)) return true;
  if (isCounted(r)) ngx.shared.hold.incr("inFlight", -1, 0);
  return false;
}

// Answers the gateway's question whether a request may go on: 204, or 401 where it may not wait, or not any longer.
async function wait(r) {
  const began = Date.now();
  const isFull = (ngx.shared.hold.get("waiting") || 0) >= Number(r.variables.hold_most_waiting);
  const mayWait = r.variables.hold_excluded !== "1" && !isFull;
  let entered = enters(r);
  if (!entered && mayWait) {
    ngx.shared.hold.incr("waiting", 1, 0);
    while (!entered && Date.now() - began < maxMs(r)) {
      await new Promise((done) => setTimeout(done, LOOK_MS));
      entered = !isPaused(r) && enters(r);
    }
    ngx.shared.hold.incr("waiting", -1, 0);
  }
  r.variables.hold_state = `${entered ? "in" : "out"} ${Date.now() - began}`;
  r.return(entered ? 204 : 401);
}

// Seconds that the request was held, for the access log, which is written when the request ends: only then it is no longer in flight.
function leave(r) {
  const state = (r.variables.hold_state || "out 0").split(" ");
  if (state[0] === "in" && isCounted(r)) ngx.shared.hold.incr("inFlight", -1, 0);
  return (Number(state[1]) / 1000).toFixed(3);
}

function pause(r) {
  const seconds = Number(r.args.seconds);
  if (r.method !== "POST" || !(seconds > 0)) return r.return(400);
  ngx.shared.hold.set("pausedUntil", Date.now() + Math.min(seconds * 1000, maxMs(r)));
  state(r);
}

function resume(r) {
  if (r.method !== "POST") return r.return(400);
  ngx.shared.hold.delete("pausedUntil");
  state(r);
}

// `paused 57.2 3 12`: for how many seconds yet, how many requests are in flight to n8n, and how many wait.
function state(r) {
  const left = isPaused(r) ? (ngx.shared.hold.get("pausedUntil") - Date.now()) / 1000 : 0;
  const counts = ["inFlight", "waiting"].map((name) => ngx.shared.hold.get(name) || 0);
  r.return(200, `${left > 0 ? "paused" : "open"} ${Math.max(left, 0).toFixed(1)} ${counts.join(" ")}\n`);
}

export default { wait, leave, pause, resume, state };
