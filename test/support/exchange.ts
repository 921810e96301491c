import type { TestContext } from "node:test";
import type { RawPeer } from "./raw-peer.js";
import { startWire, type Wire, type WireConfig, type WireOptions } from "./wire.js";

export const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";

/** A wire on which `request` has reached the node, which has not answered yet. */
export async function startExchange(
  t: TestContext,
  request = GET,
  config: WireConfig = {},
  options: WireOptions = {},
): Promise<Wire & { readonly node: RawPeer }> {
  const wire = await startWire(t, config, options);
  wire.client.send(request);
  const node = await wire.origin.accept();
  await node.log.untilText("\r\n\r\n");
  return { ...wire, node };
}
