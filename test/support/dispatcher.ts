import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { FallbackRoundTripper, type FallbackRoundTripperOptions } from "../../src/client/fallback-round-tripper.js";
import type { LogFields } from "../../src/core/log.js";
import { localNode } from "./balancer.js";
import { ByteLog } from "./byte-log.js";
import { keyOf } from "./paths.js";

/** A dispatcher under test and its events. */
export interface TestDispatcher {
  readonly dispatcher: FallbackRoundTripper;
  readonly events: readonly LogFields[];
  /** Their names, in order. */
  readonly eventNames: readonly string[];
  /** The first event of that name, as soon as it is there. */
  event(name: string): Promise<LogFields>;
}

export interface HasPort {
  readonly port: number;
}

/** What one function node says of a request. */
export interface Told {
  readonly node: string;
  readonly method: string;
  readonly target: string;
  readonly bodyBytes: number;
}

/**
 * A dispatcher over nodes of this machine. When the test is over it is destroyed, and must then have given back every
 * node.
 */
export function openDispatcher(
  t: TestContext,
  nodes: readonly HasPort[],
  options: Partial<FallbackRoundTripperOptions> = {},
): TestDispatcher {
  const events: LogFields[] = [];
  const arrivals = new ByteLog();
  const note = (fields: LogFields) => {
    events.push(fields);
    arrivals.wake();
  };
  const log = { debug: note, info: note, warn: note, error: note };
  const dispatcher = new FallbackRoundTripper({ nodes: nodes.map(addressOf), log, ...options });
  t.after(async () => {
    await dispatcher.destroy();
    assert.deepEqual(
      dispatcher.nodes.map(({ inFlight }) => inFlight),
      dispatcher.nodes.map(() => 0),
      "every node is given back",
    );
  });
  return {
    dispatcher,
    events,
    get eventNames() {
      return events.map(({ event }) => event);
    },
    event: (name) => arrivals.until(`event ${name}`, () => events.find(({ event }) => event === name)),
  };
}

export function addressOf({ port }: HasPort): string {
  return `127.0.0.1:${port}`;
}

/** A path whose node on the ring of these is that one. */
export function pathTo(nodes: readonly HasPort[], node: HasPort): string {
  return keyOf(
    nodes.map(({ port }) => localNode(port)),
    addressOf(node),
    "/f",
  );
}

/** Its only purpose is to come to an end: something that happens once. */
export function signalled(): { readonly promise: Promise<void>; readonly happen: () => void } {
  let happen = () => {};
  const promise = new Promise<void>((resolve) => {
    happen = resolve;
  });
  return { promise, happen };
}
