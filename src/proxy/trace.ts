import type { RequestHead } from "../http1/request-head.js";
import { beginTrace, parseTraceparent, traceIdOf } from "../http1/traceparent.js";
import type { ExchangeRecord } from "./access-log.js";
import type { ProxyContext } from "./context.js";

const PARENT = "traceparent";
const STATE = "tracestate";

/**
 * Sees to it that a request goes on with one good `traceparent`, or with none where the option is off, and returns the
 * one to add, or "". A bad one, and a second one, end the trace that they belong to: with them goes its `tracestate`.
 *
 * @see W3C Trace Context, level 2, §4.3
 */
export function traceparentFor(
  head: RequestHead,
  buffer: Buffer,
  { config, requestId }: ProxyContext,
  record: ExchangeRecord | undefined,
): string {
  const { fields } = head;
  if (config.traceparent === "create") {
    const index = fields.find(buffer, PARENT);
    // One that Connection names is for this hop, and is gone behind it.
    const isOnly = index >= 0 && fields.drop[index] === 0 && fields.find(buffer, PARENT, index + 1) < 0;
    const traceId = isOnly ? parseTraceparent(buffer, fields.valueStart[index], fields.valueEnd[index]) : "";
    if (traceId !== "") {
      if (record !== undefined) record.traceId = traceId;
      return "";
    }
  }
  fields.leaveOut(buffer, PARENT);
  fields.leaveOut(buffer, STATE);
  if (config.traceparent === "off") return "";
  const traceparent = beginTrace(requestId, config.traceSampledShare);
  if (record !== undefined) record.traceId = traceIdOf(traceparent);
  return traceparent;
}
