import { loadDashboardFiles } from "../admin/dashboard/dashboard-files.js";
import { EVENT_STREAMS_DEFAULTS, EventStreams, runEventStreams } from "../admin/dashboard/event-streams.js";
import { HISTORY_DEFAULTS, type History, runHistory } from "../admin/dashboard/history.js";
import type { DashboardParts } from "../admin/routes/dashboard-routes.js";
import { statusView } from "../admin/routes/status-routes.js";
import type { AdminSubject } from "../admin/routes/subject.js";
import { nodeView } from "../admin/routes/views.js";
import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";

/** What the dashboard of a balancer shows, kept up to date. */
export interface Dashboard extends DashboardParts {
  /** Ends every stream; resolves when nothing of it is in flight. Twice is fine. */
  close(): Promise<void>;
}

export interface DashboardDependencies {
  readonly clock: Clock;
  readonly counters: Counters;
  /** Filled from now on. */
  readonly history: History;
}

/** Rejects where a file of the package cannot be read. */
export async function openDashboard(
  { clock, counters, history }: DashboardDependencies,
  subject: AdminSubject,
): Promise<Dashboard> {
  const files = await loadDashboardFiles();
  const snapshot = () => subject.operations.snapshot();
  let nodes = 0;
  const status = () => {
    const now = snapshot();
    nodes = now.nodes.length;
    // Browsers have clocks of their own: what the page says of times is in that of the balancer.
    return { atMs: clock.wallNow(), ...statusView(subject, now), nodes: now.nodes.map((node) => nodeView(node)) };
  };
  const streams = new EventStreams({ counters, status });
  const end = new AbortController();
  const loops = [
    runHistory(
      { clock, history, snapshot, onSample: (sample) => streams.addSample(sample) },
      HISTORY_DEFAULTS,
      end.signal,
    ),
    runEventStreams(
      { clock, streams, transitions: () => transitionsOf(counters), nodes: () => nodes },
      EVENT_STREAMS_DEFAULTS,
      end.signal,
    ),
  ];
  return {
    files,
    history,
    streams,
    async close() {
      end.abort();
      await Promise.all(loops);
    },
  };
}

/** What somebody who looks wants to see at once. */
function transitionsOf(counters: Counters): number {
  const { nodeDeaths, nodeRevivals, nodeSuspicions, nodesEjected, breakersOpened, adminChanges } = counters;
  return nodeDeaths + nodeRevivals + nodeSuspicions + nodesEjected + breakersOpened + adminChanges;
}
