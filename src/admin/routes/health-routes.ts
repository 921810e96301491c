import { READINESS } from "../../core/readiness.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { CONTENT_TYPES, preferredFormat } from "../metrics/exposition.js";
import { metricsText } from "../metrics/metrics.js";
import { object, word } from "../schema.js";
import type { AdminSubject } from "./subject.js";

const HEALTH = object({ status: word(["ok"]) });

const READY = object({
  status: word(READINESS, {
    description: "paused: every listener is; no-node-alive: no cluster has a node that new keys may go to.",
  }),
});

/** What orchestrators and scrapers ask. */
export function healthRoutes({ operations, readRuntime, version }: AdminSubject): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/healthz",
      name: "getHealth",
      summary: "Says that the process answers.",
      isPublic: true,
      isProbe: true,
      answers: { 200: { description: "It does.", schema: HEALTH } },
      handle: () => ok({ status: "ok" }),
    }),
    adminRoute({
      method: "GET",
      path: "/readyz",
      name: "getReadiness",
      summary: "Says whether traffic should come: it listens, does not drain, and some node could take a request.",
      isPublic: true,
      isProbe: true,
      answers: {
        200: { description: "It should.", schema: READY },
        503: { description: "It should not, and why.", schema: READY },
      },
      handle() {
        const status = operations.snapshot().readiness;
        return { status: status === "ready" ? 200 : 503, body: { status } };
      },
    }),
    adminRoute({
      method: "GET",
      path: "/metrics",
      name: "getMetrics",
      summary: "Everything that is counted, as text for scrapers; OpenMetrics where Accept prefers it.",
      answers: { 200: { description: "See docs/metrics.md.", types: Object.values(CONTENT_TYPES) } },
      handle({ headers }) {
        const format = preferredFormat(headers.accept);
        const body = metricsText({ snapshot: operations.snapshot(), runtime: readRuntime(), version }, format);
        return { status: 200, body, type: CONTENT_TYPES[format], isCompressible: true };
      },
    }),
  ];
}
