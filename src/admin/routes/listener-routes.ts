import { FnlbError } from "../../errors.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { list, object, word } from "../schema.js";
import type { AdminSubject } from "./subject.js";
import { LISTENER, listenerView } from "./views.js";

const LISTENER_CHANGE = object(
  { result: word(["applied", "unchanged"]), listener: LISTENER },
  {},
  { title: "ListenerChange", description: "The listener as it is afterwards." },
);

/** Where clients come in: seen, paused and resumed. */
export function listenerRoutes({ operations }: AdminSubject): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/v1/listeners",
      name: "listListeners",
      summary: "Lists where clients come in.",
      answers: { 200: { description: "In the order of the config.", schema: object({ listeners: list(LISTENER) }) } },
      handle: () => ok({ listeners: operations.listeners().map(listenerView) }),
    }),
    adminRoute({
      method: "PATCH",
      path: "/v1/listeners/{listener}",
      name: "changeListener",
      summary: "Pauses a listener, or opens it again; what runs goes on.",
      params: { listener: "Id of a listener, percent-encoded: 127.0.0.1%3A8081." },
      body: object({ state: word(["open", "paused"]) }),
      answers: { 200: { description: "What became of it.", schema: LISTENER_CHANGE } },
      errors: ["ERR_NOT_FOUND", "ERR_DRAINING"],
      handle({ params: { listener: id }, body: { state } }) {
        const result = state === "paused" ? operations.pauseListener(id) : operations.resumeListener(id);
        const listener = operations.listeners().find((candidate) => candidate.id === id);
        // It may have been closed by a drain within the call.
        if (listener === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no listener "${id}"`);
        return ok({ result, listener: listenerView(listener) });
      },
    }),
  ];
}
