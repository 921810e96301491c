import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { BalancerDependencies } from "../../src/balancer.js";
import type { ErrorCode } from "../../src/errors.js";
import { startBalancer, type TestBalancer, type TestConfig } from "./balancer.js";
import { ok, type RawOrigin, startRawOrigin } from "./raw-origin.js";
import { connectClient, type RawClient, type RawPeer } from "./raw-peer.js";
import type { MessageRead } from "./read-message.js";

/** What the balancer calls itself in Via when its chance is always 0. */
export const VIA = "fnlb-00000000";

/** A balancer between one client and one node that both speak in bytes. */
export interface Wire extends TestBalancer {
  readonly client: RawClient;
  readonly origin: RawOrigin;
  /** The lines that the balancer adds to a request of this client for `host`, and the empty line behind them. */
  added(host?: string): string;
}

export type WireConfig = Partial<TestConfig>;

export interface WireOptions {
  /** What each connection of the node does. Default: nothing, it is in the hands of the test. */
  readonly onConnection?: (peer: RawPeer) => void;
  readonly dependencies?: Partial<BalancerDependencies>;
}

export async function startWire(
  t: TestContext,
  config: WireConfig = {},
  { onConnection, dependencies = {} }: WireOptions = {},
): Promise<Wire> {
  const origin = await startRawOrigin(t, onConnection);
  const started = await startBalancer(t, { nodes: [origin.port], ...config }, { random: () => 0, ...dependencies });
  const client = await connectClient(t, started.port);
  return { ...started, client, origin, added: (host = "fn") => addedLines(started.port, host) };
}

/** The lines that a balancer on `port` adds to a request for `host` from this machine, at the defaults. */
export function addedLines(port: number, host = "fn"): string {
  const forHost = host === "" ? "" : `X-Forwarded-Host: ${host}\r\n`;
  return (
    `X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n${forHost}` +
    `X-Forwarded-Port: ${port}\r\nVia: 1.1 ${VIA}\r\n\r\n`
  );
}

/**
 * Sends `request` and requires that the node receives exactly `expected`, no byte more up to the end of the
 * connection, and that its answer reaches the client.
 */
export async function assertForwarded(
  wire: Wire,
  request: string,
  expected: string,
  method = "GET",
): Promise<MessageRead> {
  wire.client.send(request);
  const node = await wire.origin.accept();
  await node.log.untilLength(expected.length);
  node.send(ok(method === "HEAD" ? "" : "answer"));
  const response = await wire.client.response(method);
  assert.equal(response.startLine, "HTTP/1.1 200 OK");
  await wire.balancer.close();
  await node.log.untilEnd();
  assert.equal(node.text, expected);
  return response;
}

/** Requires an answer of the balancer's own. */
export function assertProblem(response: MessageRead, status: number, code: ErrorCode): void {
  assert.equal(response.status, status);
  assert.equal(response.header("content-type"), "application/problem+json");
  const { status: said, code: saidCode } = response.json();
  assert.deepEqual({ status: said, code: saidCode }, { status, code });
}

/**
 * Requires that the client is answered with that problem and `Connection: close`, that the connection then really
 * closes, and that the answer is not erased by a reset although more bytes of the client were still on their way.
 */
export async function assertClosedWith(client: RawClient, status: number, code: ErrorCode): Promise<MessageRead> {
  const response = await client.response();
  assertProblem(response, status, code);
  assert.equal(response.header("connection"), "close");
  await client.log.untilEnd();
  client.send("x".repeat(1000));
  client.end();
  await client.log.untilClosed();
  assert.deepEqual([client.log.errorCode, client.text], [undefined, ""], "a clean end and nothing behind the answer");
  return response;
}

/** Sends `request` and requires that it is refused in this way and that no node hears of it. */
export async function assertRefused(wire: Wire, request: string, status: number, code: ErrorCode): Promise<void> {
  wire.client.send(request);
  await assertClosedWith(wire.client, status, code);
  const { counters } = wire.balancer.snapshot();
  assert.deepEqual([counters.problems, counters.dials, counters.attempts], [1, 0, 0]);
  assert.equal(wire.origin.connections.length, 0);
}
