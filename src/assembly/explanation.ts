import assert from "node:assert/strict";
import { isIP } from "node:net";
import type { ProcessSettings } from "../config/config.js";
import type { Cluster } from "../core/cluster.js";
import type { Refusal } from "../core/exchange.js";
import { NodeSet } from "../core/node-set.js";
import type { ExplainedNode, Explanation, RequestSketch, RingView } from "../core/operations.js";
import { FREE_IN_FLIGHT } from "../core/policies/bounded-load.js";
import type { Preview } from "../core/preview.js";
import { type ErrorCode, FnlbError } from "../errors.js";
import { allowedUpgrade, countVia } from "../http1/compose-request.js";
import { Framing } from "../http1/framing.js";
import { detailOf } from "../http1/problem.js";
import { HeadResult, RequestHead } from "../http1/request-head.js";
import { sketchedRequest } from "../http1/sketched-request.js";
import type { ClusterContext } from "../proxy/context.js";
import { pathOf, readField, readKey, readKeyHash } from "../proxy/key.js";
import type { Route } from "../proxy/route.js";

/** Where a request goes, as far as it takes to say so; every `Destination` is one. */
export interface ExplainedDestination {
  readonly route: Route;
  readonly context: Pick<ClusterContext, "name" | "config" | "cluster" | "affinity">;
  readonly roundTripper: { readonly queued: number };
  /** What is not known of the cluster here; its nodes are then not all there are. */
  readonly unknown?: readonly string[];
}

/** Where requests come in; a `Front` is one. */
export interface ExplainedFront {
  readonly context: { readonly config: ProcessSettings; readonly viaName: string };
  direct(head: RequestHead, buffer: Buffer): ExplainedDestination | undefined;
  canOpenTunnel(): boolean;
}

/** A request as the data path would see it. */
interface Seen {
  readonly head: RequestHead;
  readonly buffer: Buffer;
  readonly client: string;
}

type Answer = Omit<Explanation, "source">;

/** Most sectors that a ring is cut into. */
const SECTORS_MAX = 4096;

/** What would become of a request. Never throws: a request that is none has a `problem` like any other. */
export function explain(
  front: ExplainedFront,
  request: RequestSketch,
  source: Explanation["source"] = "live",
): Explanation {
  return { source, ...answerTo(front, request) };
}

function answerTo(front: ExplainedFront, request: RequestSketch): Answer {
  const { config, viaName } = front.context;
  const { client = "127.0.0.1" } = request;
  const sketched = sketchedRequest(request);
  if (sketched.kind === "bad") return unsendable(sketched.field, sketched.detail);
  if (client !== "" && isIP(client) === 0) return unsendable("client", '"client" must be an IP address');
  const head = new RequestHead(config);
  const { bytes: buffer } = sketched;
  const result = head.parse(buffer, 0, buffer.length);
  if (result === HeadResult.REFUSED) return refused(head.refusal);
  assert.equal(result, HeadResult.DONE, "a sketched head has an end");
  if (head.hasVia && countVia(head, buffer, viaName) >= 2) return refused("ERR_LOOP");
  if (head.isAsterisk)
    return { ...NOBODY, notes: ["fnlb answers this itself: it asks about the balancer, not a node"] };
  return answerSeen(front, { head, buffer, client });
}

/** In the order of the data path, see `HttpExchange.begin`. */
function answerSeen(front: ExplainedFront, seen: Seen): Answer {
  const { head, buffer } = seen;
  const destination = front.direct(head, buffer);
  if (destination === undefined) return refused("ERR_NO_ROUTE");
  const { route, context } = destination;
  const { config } = context;
  const place = { route: route.config.name, cluster: context.name, policy: config.policy };
  const location = route.slashLocation(head, buffer);
  if (location !== undefined) return { ...NOBODY, ...place, redirect: { status: 308, location } };
  if (config.bodyBytesMax > 0 && head.contentLength > config.bodyBytesMax) {
    return { ...place, ...refused("ERR_BODY_TOO_LARGE") };
  }
  const sent = readKey(config.key, head, buffer, seen.client);
  if (sent === undefined && config.keyRequired) return { ...place, ...refused("ERR_NO_KEY") };
  const upgrades =
    head.wantsUpgrade && head.framing === Framing.NONE && allowedUpgrade(head, buffer, config.upgradeTokens) !== "";
  if (upgrades && !front.canOpenTunnel())
    return { ...place, ...refused("ERR_AT_CAPACITY", "too many tunnels are open") };
  const key = sent ?? pathOf(head, buffer);
  const notes = sent === undefined ? ["the request has no part of the key: its path stands for it"] : [];
  const answer = answerOfCluster(destination, seen, key);
  return { ...place, key, ...answer, notes: [...notes, ...answer.notes] };
}

function answerOfCluster(destination: ExplainedDestination, { head, buffer }: Seen, key: string): Answer {
  const { context, unknown = [] } = destination;
  const { cluster, affinity, config } = context;
  const keyHash = readKeyHash(key, config.hash);
  const exchange = {
    keyHash,
    tried: new NodeSet(),
    refusal: "none" as Refusal,
    stamp: 0,
    affinity: affinity === undefined ? undefined : readField(head, buffer, affinity.field, affinity.separator),
    key: () => key,
  };
  const preview = cluster.preview(exchange);
  const named = affinity?.named(exchange, cluster.nodes);
  const isAllKnown = unknown.length === 0;
  const problem = isAllKnown ? problemOf(destination, preview) : undefined;
  const known = isAllKnown ? preview.attempts : preview.attempts.slice(0, preview.stays ? 1 : 0);
  const attempts = problem === undefined ? known : [];
  const [first] = attempts;
  return {
    ...(problem !== undefined && { problem }),
    keyHash,
    ...(affinity !== undefined &&
      named !== undefined && {
        sticky: {
          by: affinity.field === "cookie" ? ("cookie" as const) : ("header" as const),
          ...(named.node !== undefined && { node: named.node.id }),
        },
      }),
    isFixed: preview.isFixed,
    ...(first !== undefined && { node: first.id }),
    order: preview.nodes.map(({ node, states, reasons }): ExplainedNode => {
      const attempt = attempts.indexOf(node) + 1;
      return { id: node.id, states, isEligible: reasons.length === 0, reasons, ...(attempt > 0 && { attempt }) };
    }),
    notes: [...unknown, ...notesOf(destination, preview)],
  };
}

/** As `FallbackRoundTripper` answers. */
function problemOf(
  { context: { config }, roundTripper: { queued } }: ExplainedDestination,
  { refusal }: Preview,
): Explanation["problem"] {
  const waits = refusal === "full" || queued > 0;
  if (waits && queued >= config.queueMax) {
    return problem("ERR_AT_CAPACITY", queued > 0 ? "the queue is full" : "every node, or the cluster, is at its limit");
  }
  if (queued > 0) return undefined;
  switch (refusal) {
    case "none":
    case "full":
      return undefined;
    case "unhealthy":
      return problem("ERR_NO_HEALTHY_NODE", "checks or breakers keep every node out");
    case "empty":
      return problem("ERR_NO_NODE");
    case "drained":
      return problem("ERR_NO_ACTIVE_NODE");
    case "offline":
      return problem(
        "ERR_NO_FALLBACK_NODE_FOUND",
        "all are dead: three at most are dialled once more before the answer",
      );
    default:
      return refusal satisfies never;
  }
}

function notesOf(
  { context: { config }, roundTripper: { queued } }: ExplainedDestination,
  { nodes, refusal, stays, isKeyed }: Preview,
): string[] {
  const notes: string[] = [];
  const { queueMax, queueTimeoutMs, spread } = config;
  if (queued > 0 && queued < queueMax) {
    notes.push(`it would wait for a place, ${queueTimeoutMs} ms at most, behind ${queued} that wait already`);
  } else if (refusal === "full" && queueMax > 0) notes.push(`it would wait for a place, ${queueTimeoutMs} ms at most`);
  if (stays) notes.push("the client stays on its node, whatever the policy says");
  if (nodes.some(({ states, reasons }) => states.includes("ejected") && !reasons.includes("ejected"))) {
    notes.push("too few nodes are healthy: ejected ones serve as well");
  }
  if (nodes.some(({ reasons }) => reasons.includes("load-wait"))) {
    notes.push("calls of this key wait at nodes: chance decides which of its turns they still take");
  }
  if (spread > 1 && isKeyed) {
    notes.push(`once its home has ${FREE_IN_FLIGHT} in flight, the first ${spread} nodes of its order share this key`);
  }
  return notes;
}

const NOBODY = { isFixed: true, order: [], notes: [] } as const;

function refused(code: ErrorCode, detail?: string): Answer {
  return { ...NOBODY, problem: problem(code, detail) };
}

function unsendable(field: keyof RequestSketch, detail: string): Answer {
  return { ...NOBODY, problem: { ...problem("ERR_BAD_REQUEST", detail), field } };
}

function problem(code: ErrorCode, detail = detailOf(code)): NonNullable<Explanation["problem"]> {
  return { code, detail };
}

/** The ring of a cluster; undefined where its policy has none. Throws `ERR_BAD_REQUEST` for a number of sectors that is none. */
export function ringView(name: string, cluster: Cluster, sectors: number): RingView | undefined {
  if (!(Number.isInteger(sectors) && sectors >= 1 && sectors <= SECTORS_MAX)) {
    throw new FnlbError("ERR_BAD_REQUEST", `"sectors" must be a whole number from 1 to ${SECTORS_MAX}, got ${sectors}`);
  }
  const arcs = cluster.arcs(sectors);
  if (arcs === undefined) return undefined;
  const places = new Map(cluster.nodes.map(({ id }, place) => [id, place]));
  return {
    cluster: name,
    nodes: cluster.nodes.map(({ id }) => ({ id, share: arcs.shares.get(id) ?? 0 })),
    sectors: arcs.sectors.map((id) => (id === undefined ? -1 : (places.get(id) ?? -1))),
  };
}
