import { createSocket } from "node:dgram";
import { createServer, type AddressInfo, type Socket } from "node:net";

import * as packet from "dns-packet";

import { answerFrom, NEGATIVE_TTL, type NameZone, plain, type ZoneAnswer } from "./answers.ts";
import { ask, type Upstream, withLength } from "./upstream.ts";

const { AUTHORITATIVE_ANSWER, RECURSION_AVAILABLE, RECURSION_DESIRED, TRUNCATED_RESPONSE } = packet;
const RCODES = { formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;
const PLAIN_UDP_SIZE = 512;
const OUR_UDP_SIZE = 1232;
const IDLE_MS = 10_000;
const STATIC_TTL = 60;

export interface DnsOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** Same port for UDP and TCP. @default a free one */
  readonly port?: number;
  /** Zones answered from here; read at every question. */
  readonly zones: () => readonly NameZone[];
  /** Names with fixed addresses, before any zone. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
  /** Resolver for all other names. @default none: they are refused */
  readonly upstream?: Upstream;
  /**
   * Whether answers that something does not exist are kept for the SOA's minimum, as resolvers keep them, although the record has come into
   * being. Given the time in milliseconds.
   *
   * @default nothing is kept
   */
  readonly keepsAbsence?: () => number;
}

export interface DnsServer {
  readonly address: string;
  readonly port: number;
  /** Whatever was asked for before it existed, as `name type`, where absences are kept. */
  absences(): readonly string[];
  /** Addresses of a name, as this server answers it. */
  resolve(name: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Starts a name server, over UDP and TCP on one port. */
export async function startDns(options: DnsOptions): Promise<DnsServer> {
  const host = options.host ?? "127.0.0.1";
  const open = new Set<Socket>();
  const tcp = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    serveConnection(options, socket);
  });
  await new Promise<void>((resolve, reject) => {
    tcp.once("error", reject);
    tcp.listen(options.port ?? 0, host, resolve);
  });
  const { port } = tcp.address() as AddressInfo;

  const udp = createSocket(host.includes(":") ? "udp6" : "udp4");
  let isClosed = false;
  udp.on("message", (message, from) => {
    void respond(options, message, "udp").then((answer) => {
      if (answer && !isClosed) udp.send(answer, from.port, from.address);
    });
  });
  await new Promise<void>((resolve, reject) => {
    udp.once("error", reject);
    udp.bind(port, host, resolve);
  });

  return {
    address: host,
    port,
    absences: () => [...(absences.get(options)?.keys() ?? [])],
    resolve: async (name) => {
      const found = await Promise.all(["A", "AAAA"].map((type) => addressesOf(options, name, type)));
      return found.flat();
    },
    close: async () => {
      isClosed = true;
      for (const socket of open) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => udp.close(resolve)),
        new Promise<void>((resolve) => void tcp.close(() => resolve())),
      ]);
    },
  };
}

function serveConnection(options: DnsOptions, socket: Socket): void {
  let received = Buffer.alloc(0);
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      const message = received.subarray(2, end);
      received = received.subarray(end);
      void respond(options, message, "tcp").then((answer) => {
        if (answer && !socket.destroyed) socket.write(withLength(answer));
      });
    }
  });
}

async function respond(
  options: DnsOptions,
  message: Buffer,
  transport: "udp" | "tcp",
): Promise<Buffer | undefined> {
  // Too short to have an id, or an answer itself.
  if (message.length < 12 || ((message[2] ?? 0) & 0x80) !== 0) return undefined;
  let query: packet.DecodedPacket;
  try {
    query = packet.decode(message);
  } catch {
    return packet.encode({ type: "response", id: message.readUInt16BE(0), flags: RCODES.formatError });
  }
  const [question] = query.questions ?? [];
  const opcode = ((message[2] ?? 0) >> 3) & 0xf;
  if (opcode !== 0) return fail(query, RCODES.notImplemented);
  if (!question) return fail(query, RCODES.formatError);

  const local = answerLocally(options, question);
  if (local) {
    const chased = local.elsewhere === null ? [] : await follow(options, local.elsewhere, question.type);
    const flags = AUTHORITATIVE_ANSWER | local.rcode;
    return fit(
      query,
      { flags, answers: [...local.answers, ...chased], authorities: [...local.authorities] },
      transport,
    );
  }
  if (!options.upstream) return fail(query, RCODES.refused);
  try {
    return await ask(options.upstream, message, transport);
  } catch {
    return fail(query, RCODES.serverFailure);
  }
}

const absences = new WeakMap<DnsOptions, Map<string, { until: number; answer: ZoneAnswer }>>();

function answerLocally(options: DnsOptions, question: packet.Question): ZoneAnswer | undefined {
  const { keepsAbsence: now } = options;
  if (!now) return answerNow(options, question);
  const kept = absences.get(options) ?? new Map<string, { until: number; answer: ZoneAnswer }>();
  absences.set(options, kept);
  const key = `${plain(question.name)} ${question.type}`;
  const old = kept.get(key);
  if (old && now() < old.until) return old.answer;
  const answer = answerNow(options, question);
  const isAbsent = answer?.answers.length === 0 && answer.elsewhere === null;
  if (isAbsent) kept.set(key, { until: now() + NEGATIVE_TTL * 1000, answer });
  return answer;
}

function answerNow(options: DnsOptions, { name, type }: packet.Question): ZoneAnswer | undefined {
  const fixed = Object.entries(options.names ?? {}).find(([known]) => plain(known) === plain(name))?.[1];
  if (!fixed) return answerFrom(options.zones(), name, type);
  const answers = fixed
    .map((data) => ({
      type: data.includes(":") ? ("AAAA" as const) : ("A" as const),
      name,
      ttl: STATIC_TTL,
      data,
    }))
    .filter((answer) => answer.type === type);
  return { rcode: 0, answers, authorities: [], elsewhere: null };
}

// Clients expect the whole chain, as from any resolver.
async function follow(options: DnsOptions, name: string, type: string): Promise<readonly packet.Answer[]> {
  if (!options.upstream) return [];
  const query = packet.encode({
    type: "query",
    id: Math.floor(Math.random() * 0xffff),
    flags: RECURSION_DESIRED,
    questions: [{ type: type as packet.RecordType, name }],
  });
  try {
    return packet.decode(await ask(options.upstream, query, "tcp")).answers ?? [];
  } catch {
    return [];
  }
}

async function addressesOf(options: DnsOptions, name: string, type: string): Promise<readonly string[]> {
  const local = answerLocally(options, { name: plain(name), type: type as packet.RecordType });
  const answers = local
    ? [...local.answers, ...(local.elsewhere === null ? [] : await follow(options, local.elsewhere, type))]
    : await follow(options, name, type);
  return answers.flatMap((answer) =>
    answer.type === type ? [String((answer as packet.StringAnswer).data)] : [],
  );
}

interface Reply {
  readonly flags: number;
  readonly answers?: packet.Answer[];
  readonly authorities?: packet.Answer[];
}

function fail(query: packet.DecodedPacket, rcode: number): Buffer {
  return encode(query, { flags: rcode });
}

function fit(query: packet.DecodedPacket, reply: Reply, transport: "udp" | "tcp"): Buffer {
  const whole = encode(query, reply);
  const wanted = optOf(query)?.udpPayloadSize ?? PLAIN_UDP_SIZE;
  const room = transport === "tcp" ? 65535 : Math.max(PLAIN_UDP_SIZE, Math.min(wanted, OUR_UDP_SIZE));
  return whole.length <= room ? whole : encode(query, { flags: reply.flags | TRUNCATED_RESPONSE });
}

function encode(query: packet.DecodedPacket, reply: Reply): Buffer {
  const asked = query.flags ?? 0;
  return packet.encode({
    type: "response",
    id: query.id ?? 0,
    flags: reply.flags | RECURSION_AVAILABLE | (asked & RECURSION_DESIRED),
    questions: query.questions ?? [],
    answers: reply.answers ?? [],
    authorities: reply.authorities ?? [],
    additionals: optOf(query) ? [ourOpt()] : [],
  });
}

function optOf(query: packet.DecodedPacket): packet.OptAnswer | undefined {
  return query.additionals?.find((record): record is packet.OptAnswer => record.type === "OPT");
}

function ourOpt(): packet.OptAnswer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: OUR_UDP_SIZE,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}
