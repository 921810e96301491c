import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { oneCluster, startBalancer } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { eventually } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { resetSocket } from "../support/reset-socket.js";
import { seeded } from "../support/seeded-random.js";
import { connectTlsClient } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const pairs = [1, 2].map((number) => authority.issue({ name: `fn ${number}`, dns: ["fn.example"] }));
const localhost = authority.issue({ ips: ["127.0.0.1"] });
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const VISITS = 240;
const AT_ONCE = 48;
/** More than a handshake, a request and its answer are, either way. */
const BYTES_MAX = 3000;
const PATIENCE = {
  handshakeTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  responseTimeoutMs: 60_000,
  pingTimeoutMs: 10_000,
  silenceMs: 10_000,
};
const VISIT_MS_MAX = 300;

/** How one connection through the relay ends. */
interface Fate {
  /** Counted from this side only. */
  readonly from: "client" | "server";
  /** What is let through before it is cut; in the handshake, in the request, or never. */
  readonly bytes: number;
  readonly how: "end" | "destroy" | "reset" | "stall";
}

/** Passes bytes on to a port of this machine until the fate of the connection says otherwise. */
async function startFatefulRelay(t: TestContext, port: () => number, fate: () => Fate): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const { from, bytes, how } = fate();
    const target = connect({ host: "127.0.0.1", port: port() });
    const pass = (source: Socket, sink: Socket, limit: number) => {
      let left = limit;
      sockets.add(source);
      source.on("error", () => {});
      source.on("close", () => {
        sockets.delete(source);
        if (how !== "stall") sink.destroy();
      });
      source.on("data", (chunk: Buffer) => {
        if (left <= 0) return;
        sink.write(chunk.subarray(0, left));
        left -= chunk.length;
        if (left > 0 || how === "stall") return;
        for (const socket of [source, sink]) {
          if (how === "end") socket.end();
          else if (how === "reset") resetSocket(socket);
          else socket.destroy();
        }
      });
      source.on("end", () => sink.end());
    };
    pass(client, target, from === "client" ? bytes : Number.POSITIVE_INFINITY);
    pass(target, client, from === "server" ? bytes : Number.POSITIVE_INFINITY);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A client that asks once and goes, whatever becomes of it, after that time at the latest. */
function visit(port: number, random: () => number, staysMs = VISIT_MS_MAX * random()): Promise<void> {
  return new Promise((resolve) => {
    const carrier = connect({ host: "127.0.0.1", port });
    const maxVersion = random() < 0.5 ? "TLSv1.2" : "TLSv1.3";
    const socket = connectTls({ socket: carrier, ca, maxVersion, checkServerIdentity: () => undefined });
    for (const one of [carrier, socket]) one.on("error", () => {});
    const leave = () => setImmediate(() => socket.destroy());
    const timer = setTimeout(leave, staysMs);
    socket.on("data", leave);
    socket.on("end", leave);
    carrier.on("close", () => {
      clearTimeout(timer);
      socket.destroy();
      resolve();
    });
    socket.write(GET);
  });
}

const handles = () => process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Pipe/.test(kind)).length;

for (const sockets of ["fast", "plain"]) {
  describe(`a soak of TLS, on ${sockets} sockets`, () => {
    it("survives what is cut in every phase on both sides, while certificates change, and keeps no socket", async (t) => {
      const random = seeded(sockets.length);
      const fate = (): Fate => ({
        from: random() < 0.5 ? "client" : "server",
        bytes: Math.ceil(BYTES_MAX * random() ** 2),
        how: (["end", "destroy", "reset", "stall"] as const)[Math.floor(4 * random())],
      });
      const before = handles();
      const node = await startFunctionNode(t, { name: "a", tls: localhost });
      let isFateful = true;
      const fair: Fate = { from: "client", bytes: Number.POSITIVE_INFINITY, how: "end" };
      const nodePort = await startFatefulRelay(
        t,
        () => node.port,
        () => (isFateful && random() < 0.5 ? fate() : fair),
      );
      const files = certificateFiles(t);
      const certificates = [files.writePair("fn", pairs[0])];
      const caFile = files.write("ca.crt", ca);
      const { balancer, config, port, until } = await startBalancer(
        t,
        {
          nodes: [
            {
              id: "a",
              address: { kind: "tcp", host: "127.0.0.1", port: nodePort, basePath: "", tls: true },
              weight: 1,
              tls: { caFile, serverName: "", certFile: "", keyFile: "", verifies: true },
            },
          ],
          listeners: [
            {
              address: { kind: "tcp", host: "127.0.0.1", port: 0 },
              proxyProtocol: false,
              tls: { certificates, clientCaFile: caFile, clientCertificates: "request", minVersion: "1.2" },
            },
          ],
          // Each request shakes hands with the node.
          nodeIdleConnectionsMax: 0,
          handshakeTimeoutMs: 200,
          headTimeoutMs: 200,
          keepAliveTimeoutMs: 200,
          bodyIdleTimeoutMs: 200,
          connectTimeoutMs: 100,
          responseTimeoutMs: 300,
          silenceMs: 50,
          pingIntervalMs: 10,
          pingTimeoutMs: 50,
        },
        { sockets },
      );
      const clientPort = await startFatefulRelay(t, () => port, fate);
      for (let visits = 0; visits < VISITS; visits += AT_ONCE) {
        // Half of them get through to the balancer, so that the node has its share.
        const round = Array.from({ length: AT_ONCE }, (_, index) => visit(index % 2 ? port : clientPort, random));
        files.writePair("fn", pairs[(visits / AT_ONCE) % 2]);
        await balancer.reloadCertificates();
        await balancer.reload(oneCluster({ ...config, handshakesMax: 1000 + visits }));
        await Promise.all(round);
      }
      // A machine that is busy is no reason to fail from here on.
      await balancer.reload(oneCluster({ ...config, ...PATIENCE }));
      // Nor is one on which everybody had left before anything at the node could be cut.
      while (balancer.snapshot().counters.dialsFailed === 0) await visit(port, random, PATIENCE.responseTimeoutMs);
      isFateful = false;
      await until("everybody to be gone", ({ connections, handshakes }) => connections + handshakes === 0);
      await until("the node to be well", ({ nodes }) => nodes[0].alive && !nodes[0].suspect);
      const client = await connectTlsClient(t, port, { ca });
      assert.equal((await client.ask(GET)).status, 200);
      const { counters } = balancer.snapshot();
      for (const counter of ["handshakesFailed", "connectionsAccepted", "dialsFailed", "responses2xx"] as const)
        assert.ok(counters[counter] > 0, `nothing was put to the test: ${counter}`);
      client.destroy();
      await balancer.close();
      await node.stop();
      // Two relays listen until the test is over, and somebody keeps the node's port.
      await eventually(() => handles() <= before + 3);
    });

    it("closes in the middle of handshakes on both sides", async (t) => {
      const random = seeded(7);
      const node = await startFunctionNode(t, { name: "a", tls: localhost });
      const files = certificateFiles(t);
      const certificates = [files.writePair("fn", pairs[0])];
      const caFile = files.write("ca.crt", ca);
      for (let round = 0; round < 12; round++) {
        const { balancer, port } = await startBalancer(
          t,
          {
            nodes: [
              {
                id: "a",
                address: { kind: "tcp", host: "127.0.0.1", port: node.port, basePath: "", tls: true },
                weight: 1,
                tls: { caFile, serverName: "", certFile: "", keyFile: "", verifies: true },
              },
            ],
            listeners: [
              {
                address: { kind: "tcp", host: "127.0.0.1", port: 0 },
                proxyProtocol: false,
                tls: { certificates, clientCaFile: "", clientCertificates: "none", minVersion: "1.2" },
              },
            ],
          },
          { sockets },
        );
        const visits = Array.from({ length: 12 }, () => visit(port, random));
        for (let turn = 0; turn < round * 3; turn++) await new Promise((resolve) => setImmediate(resolve));
        await balancer.close();
        await Promise.all(visits);
      }
    });
  });
}
