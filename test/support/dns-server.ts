import { createSocket } from "node:dgram";
import { createServer, isIP, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { OpenLookup } from "../../src/core/lookup.js";
import { systemLookup } from "../../src/system/name-lookup.js";

/** What the server says of a name: addresses of both families in any order, or places of a service. */
export interface Zone {
  readonly addresses?: readonly string[];
  readonly services?: readonly (readonly [target: string, port: number, priority?: number, weight?: number])[];
  readonly ttlS?: number;
}

/** A real DNS server on UDP and TCP of this machine, with answers that a test changes. */
export interface DnsServer {
  /** By name in lower case; a name that is not there does not exist. */
  readonly zones: Map<string, Zone>;
  /** What it does instead of answering: `fail` is SERVFAIL, `silent` nothing at all; by type of question, or for all. */
  readonly faults: Map<"A" | "AAAA" | "SRV" | "all", "fail" | "silent">;
  /** Each question as it came: `A fn.example`. */
  readonly questions: readonly string[];
  /** Questions that came by TCP, because their answers do not fit into a datagram. */
  readonly questionsByTcp: number;
  /** Asks this server alone, as the program asks those of its system. */
  readonly openLookup: OpenLookup;
}

const TYPES: Readonly<Record<number, "A" | "AAAA" | "SRV">> = { 1: "A", 28: "AAAA", 33: "SRV" };
const DATAGRAM_BYTES_MAX = 512;
const NAME_ERROR = 3;
const SERVER_FAILURE = 2;
const HEADER_BYTES = 12;
/** Points to the name of the question, right behind the header. */
const SAME_NAME = 0xc00c;

export async function startDnsServer(t: TestContext, zones: Readonly<Record<string, Zone>> = {}): Promise<DnsServer> {
  const known = new Map(Object.entries(zones));
  const faults: DnsServer["faults"] = new Map();
  const questions: string[] = [];
  let questionsByTcp = 0;

  function answer(message: Buffer): Buffer | undefined {
    const { name, end } = readName(message, HEADER_BYTES);
    const type = TYPES[message.readUInt16BE(end)];
    questions.push(`${type} ${name}`);
    const fault = faults.get(type) ?? faults.get("all");
    if (fault === "silent") return undefined;
    const zone = known.get(name.toLowerCase());
    const records = zone === undefined || fault === "fail" ? [] : recordsOf(zone, type);
    const header = Buffer.alloc(HEADER_BYTES);
    message.copy(header, 0, 0, 2);
    const code = fault === "fail" ? SERVER_FAILURE : zone === undefined ? NAME_ERROR : 0;
    header.writeUInt16BE(0x8180 | code, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, message.subarray(HEADER_BYTES, end + 4), ...records]);
  }

  const datagrams = createSocket("udp4");
  const sockets = new Set<Socket>();
  const streams = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // A resolver that has heard enough just closes.
    socket.on("error", () => {});
    let held = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const length = held.readUInt16BE(0);
        const reply = answer(held.subarray(2, 2 + length));
        held = held.subarray(2 + length);
        questionsByTcp++;
        if (reply === undefined) continue;
        const prefix = Buffer.alloc(2);
        prefix.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([prefix, reply]));
      }
    });
  });
  datagrams.on("message", (message, { port, address }) => {
    const reply = answer(message);
    if (reply === undefined) return;
    if (reply.length <= DATAGRAM_BYTES_MAX) return datagrams.send(reply, port, address);
    // Truncated: the header and the question, and the client comes again by TCP.
    const { end } = readName(reply, HEADER_BYTES);
    const short = Buffer.from(reply.subarray(0, end + 4));
    short.writeUInt16BE(short.readUInt16BE(2) | 0x0200, 2);
    short.writeUInt16BE(0, 6);
    datagrams.send(short, port, address);
  });

  const port = await openPair();
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all([new Promise((done) => streams.close(done)), new Promise<void>((done) => datagrams.close(done))]);
  });

  /** One number for both: a port that is free for TCP is nearly always free for UDP. */
  async function openPair(): Promise<number> {
    await new Promise<void>((done) => streams.listen(0, "127.0.0.1", done));
    const { port: bound } = streams.address() as { readonly port: number };
    await new Promise<void>((done, fail) => {
      datagrams.once("error", fail);
      datagrams.bind(bound, "127.0.0.1", done);
    });
    return bound;
  }

  return {
    zones: known,
    faults,
    questions,
    get questionsByTcp() {
      return questionsByTcp;
    },
    openLookup: () => systemLookup([`127.0.0.1:${port}`]),
  };
}

function readName(message: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = start;
  while (message[at] > 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + message[at]));
    at += message[at] + 1;
  }
  return { name: labels.join("."), end: at + 1 };
}

function recordsOf({ addresses = [], services = [], ttlS = 30 }: Zone, type: "A" | "AAAA" | "SRV"): Buffer[] {
  if (type === "SRV") {
    return services.map(([target, port, priority = 0, weight = 0]) => {
      const numbers = Buffer.alloc(6);
      numbers.writeUInt16BE(priority, 0);
      numbers.writeUInt16BE(weight, 2);
      numbers.writeUInt16BE(port, 4);
      return record(33, ttlS, Buffer.concat([numbers, encodeName(target)]));
    });
  }
  const family = type === "A" ? 4 : 6;
  return addresses
    .filter((address) => isIP(address) === family)
    .map((address) => record(type === "A" ? 1 : 28, ttlS, family === 4 ? bytesOf4(address) : bytesOf6(address)));
}

function record(type: number, ttlS: number, data: Buffer): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(SAME_NAME, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttlS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, "latin1")])),
    Buffer.from([0]),
  ]);
}

function bytesOf4(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

/** Words of four digits with at most one gap. */
function bytesOf6(address: string): Buffer {
  const [front, back] = address.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const words = back === undefined ? front : [...front, ...Array(8 - front.length - back.length).fill("0"), ...back];
  return Buffer.concat(words.map((word) => Buffer.from(word.padStart(4, "0"), "hex")));
}
