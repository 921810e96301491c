import { FnlbError } from "../../errors.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { type DashboardFiles, isFresh } from "../dashboard/dashboard-files.js";
import type { EventStreams } from "../dashboard/event-streams.js";
import type { History } from "../dashboard/history.js";
import { list, nullable, number, object, text, whole } from "../schema.js";
import type { AdminSubject } from "./subject.js";

/** What the dashboard is made of. */
export interface DashboardParts {
  readonly files: DashboardFiles;
  readonly history: History;
  readonly streams: EventStreams;
}

const VALUES = list(nullable(number()), { description: "Oldest first; null: nothing known." });
const SERIES = { rate: VALUES, errors: VALUES, p50Ms: VALUES, p99Ms: VALUES, inFlight: VALUES };

const HISTORY = object(
  {
    sequence: whole({ description: "Of the newest sample; events of the name sample go on from there." }),
    intervalMs: whole(),
    atMs: list(number(), { description: "When each sample was taken, in milliseconds since the epoch." }),
    total: object(SERIES),
  },
  { cluster: object({ name: text(), ...SERIES }), nodes: list(object({ id: text(), ...SERIES })) },
  { title: "History" },
);

/** The page and what it is drawn from. */
export function dashboardRoutes(
  { files, history, streams }: DashboardParts,
  { config }: Pick<AdminSubject, "config">,
): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/v1/history",
      name: "getHistory",
      summary:
        "Shows rates, errors and latencies of the last five minutes; of a cluster and its nodes where one is named.",
      query: object({}, { cluster: text({ description: "Name of a cluster." }) }),
      answers: { 200: { description: "In samples of two seconds.", schema: HISTORY } },
      errors: ["ERR_NOT_FOUND"],
      handle({ query: { cluster } }) {
        // One that has just come has no sample yet.
        const isNew = config().clusters.some(({ name }) => name === cluster);
        const view = history.view(cluster) ?? (isNew ? history.view() : undefined);
        if (view === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no cluster "${cluster}"`);
        return { ...ok(view), isCompressible: true };
      },
    }),
    {
      method: "GET",
      path: "/v1/events",
      name: "getEvents",
      summary:
        "Streams how things stand: the event status each second and at changes, the event sample with the history.",
      answers: { 200: { description: "Until one side ends it.", types: ["text/event-stream"] } },
      errors: ["ERR_AT_CAPACITY", "ERR_DRAINING"],
      stream: ({ signal }, response) => streams.open(response, signal),
    },
    ...[...files].map(
      ([path, file]): AdminRoute => ({
        method: "GET",
        path,
        name: path === "/" ? "getDashboard" : `getDashboardFile ${path}`,
        summary: "A file of the dashboard.",
        isPublic: true,
        isUnlisted: true,
        answers: { 200: { description: "As it is in the package." }, 304: { description: "The client has it." } },
        handle: ({ headers: asked }) =>
          isFresh(file, asked["if-none-match"])
            ? { status: 304, body: "", type: "", headers: file.headers }
            : { status: 200, ...file, isCompressible: true },
      }),
    ),
  ];
}
