/** Open ports of the public address, seen from this machine. */
import { connect, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";

import { INTAKE_PORTS, LOOPBACK_PORTS } from "../../../common/monitoring.ts";
import { failed, type Finding, notChecked, ok } from "../probe.ts";

const OFTEN_OPEN = [
  21, 23, 25, 53, 111, 2049, 2375, 2376, 2377, 3000, 3306, 4789, 5000, 5432, 5678, 5679, 5680, 6333, 6334,
  6335, 6379, 7946, 8000, 8001, 8002, 8003, 8004, 8005, 8080, 8443, 9000, 9090, 9100, 9323, 27017,
];

/** TCP ports of the stack's services and of Docker, and others that are often open by mistake. */
export const CLOSED_PORTS: readonly number[] = [
  ...OFTEN_OPEN,
  ...Object.values(LOOPBACK_PORTS),
  ...Object.values(INTAKE_PORTS),
];
const TRY_MS = 3000;

type State = "open" | "closed" | "no-route";

/** Whether the public ports answer and no others do. UDP is left out, because an open port may be as silent as a closed one. */
export async function checkPorts(request: {
  readonly address: string;
  readonly open: readonly number[];
  readonly closed: readonly number[];
  readonly signal: AbortSignal;
}): Promise<Finding> {
  const { address, open, closed, signal } = request;
  if (isIPv6(address) && !hasGlobalIpv6()) {
    return notChecked("cette machine n'a pas d'IPv6 : à vérifier depuis une machine qui en a");
  }
  const others = closed.filter((port) => !open.includes(port));
  const tried = await Promise.all(
    [...open, ...others].map(async (port) => ({ port, state: await tryPort(port, { address, signal }) })),
  );
  signal.throwIfAborted();
  const inState = (state: State) => tried.filter((one) => one.state === state).map(({ port }) => port);
  if (inState("no-route").length === tried.length) {
    return notChecked(`aucune route de cette machine vers ${address}`);
  }
  const opened = inState("open");
  const missing = open.filter((port) => !opened.includes(port));
  const excess = opened.filter((port) => !open.includes(port));
  const measures = { portsTried: tried.length, portsOpen: opened.length };
  const problems = [
    ...(excess.length > 0 ? [`ouverts de trop : ${excess.join(", ")}`] : []),
    ...(missing.length > 0 ? [`fermés à tort : ${missing.join(", ")}`] : []),
  ];
  if (problems.length > 0) return failed(`${address} : ${problems.join(" ; ")}`, measures);
  return ok(
    `${address} : ${open.length === 0 ? "aucun port ouvert" : `${open.join(", ")} ouverts`}, ${others.length} autres ports TCP essayés fermés`,
    measures,
  );
}

function tryPort(
  port: number,
  { address, signal }: { readonly address: string; readonly signal: AbortSignal },
): Promise<State> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, signal });
    const limit = setTimeout(() => settle("closed"), TRY_MS);
    const settle = (state: State): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve(state);
    };
    socket.once("connect", () => settle("open"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      settle(code === "ENETUNREACH" || code === "EADDRNOTAVAIL" ? "no-route" : "closed"),
    );
  });
}

function hasGlobalIpv6(): boolean {
  return Object.values(networkInterfaces())
    .flat()
    .some((own) => own?.family === "IPv6" && !own.internal && !own.address.startsWith("fe80:"));
}
