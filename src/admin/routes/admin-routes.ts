import type { AdminRoute } from "../admin-route.js";
import { openApiRoute } from "../open-api.js";
import { clusterRoutes } from "./cluster-routes.js";
import { configRoutes } from "./config-routes.js";
import { type DashboardParts, dashboardRoutes } from "./dashboard-routes.js";
import { healthRoutes } from "./health-routes.js";
import { listenerRoutes } from "./listener-routes.js";
import { nodeRoutes } from "./node-routes.js";
import { routingRoutes } from "./routing-routes.js";
import { statusRoutes } from "./status-routes.js";
import type { AdminSubject } from "./subject.js";

/** Everything that the admin API answers, the document that describes it last. */
export function adminRoutes(subject: AdminSubject, dashboard: DashboardParts): readonly AdminRoute[] {
  const routes = [
    ...healthRoutes(subject),
    ...statusRoutes(subject),
    ...clusterRoutes(subject),
    ...nodeRoutes(subject),
    ...listenerRoutes(subject),
    ...routingRoutes(subject),
    ...configRoutes(subject),
    ...dashboardRoutes(dashboard, subject),
  ];
  return [...routes, openApiRoute(routes, subject.version)];
}
