import { parseNodeName, WEIGHT_MAX } from "../../config/node-address.js";
import type { ChangeResult } from "../../core/operations.js";
import { FORGOTTEN, type Registry } from "../../core/registry.js";
import type { NodeSnapshot } from "../../core/snapshot.js";
import { FnlbError } from "../../errors.js";
import { RequestError } from "../admin-problem.js";
import { type AdminAnswer, type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { list, nullable, number, object, text, type ValueOf, word } from "../schema.js";
import { CLUSTER_PARAM } from "./cluster-routes.js";
import type { AdminSubject } from "./subject.js";
import { MODE, NODE, nodeView } from "./views.js";

const NODES = object({ nodes: list(NODE) });
/** Longer ones are no addresses. */
const NODE_LENGTH_MAX = 2048;
const WEIGHT = number({
  minimum: 0,
  maximum: WEIGHT_MAX,
  description: "Its part of the traffic, against the others'.",
});

const RESULT = word(["applied", "unchanged"], { description: "unchanged: everything was so already." });

export const NODE_CHANGE = object(
  { result: RESULT },
  { node: NODE },
  { title: "NodeChange", description: "The node as it is afterwards, if there is one." },
);

export const EDITS = object(
  {
    cluster: text(),
    version: text({
      description: "Another text after each change, the same on every replica; empty: nothing was ever said.",
    }),
    edits: list(
      object(
        { node: text({ description: "Its id, whether there is such a node now or not." }) },
        {
          presence: word(["added", "removed"], { description: "added: it is there, whoever else names it." }),
          weight: WEIGHT,
          mode: word(["draining", "disabled"]),
        },
        { title: "NodeEdit", description: "What is left out is as config and discovery say." },
      ),
      { description: "By id. At most 10,000 of presences, weights and modes in a cluster." },
    ),
  },
  {},
  { title: "NodeEdits" },
);

const PARAMS = {
  cluster: CLUSTER_PARAM,
  node: "Id of a node, percent-encoded: 10.0.0.1%3A8080, unix%3A%2Frun%2Ffn.sock.",
};

/** What operators see of nodes and say about them. */
export function nodeRoutes(subject: AdminSubject): readonly AdminRoute[] {
  return [...readRoutes(subject), ...editRoutes(subject), ...repairRoutes(subject)];
}

function readRoutes({ operations, recentOf }: AdminSubject): readonly AdminRoute[] {
  const view = (node: NodeSnapshot) => nodeView(node, recentOf(node.cluster, node.id));
  return [
    adminRoute({
      method: "GET",
      path: "/v1/nodes",
      name: "listNodes",
      summary: "Lists the nodes of all clusters.",
      answers: { 200: { description: "In the order of the config.", schema: NODES } },
      handle: () => ok({ nodes: operations.snapshot().nodes.map(view) }),
    }),
    adminRoute({
      method: "GET",
      path: "/v1/clusters/{cluster}/nodes",
      name: "listNodesOfCluster",
      summary: "Lists the nodes of a cluster.",
      params: { cluster: CLUSTER_PARAM },
      answers: { 200: { description: "In the order of the config.", schema: NODES } },
      errors: ["ERR_NOT_FOUND"],
      handle({ params: { cluster } }) {
        const { clusters, nodes } = operations.snapshot();
        if (!clusters.some(({ name }) => name === cluster)) {
          throw new FnlbError("ERR_NOT_FOUND", `there is no cluster "${cluster}"`);
        }
        return ok({ nodes: nodes.filter((node) => node.cluster === cluster).map(view) });
      },
    }),
    adminRoute({
      method: "GET",
      path: "/v1/clusters/{cluster}/nodes/{node}",
      name: "getNode",
      summary: "Shows a node.",
      params: PARAMS,
      answers: { 200: { description: "As of now.", schema: NODE } },
      errors: ["ERR_NOT_FOUND"],
      handle({ params }) {
        const { cluster, id } = placeOf(params);
        const found = operations.snapshot().nodes.find((node) => node.cluster === cluster && node.id === id);
        if (found === undefined)
          throw new FnlbError("ERR_NOT_FOUND", `there is no node "${id}" in cluster "${cluster}"`);
        return ok(view(found));
      },
    }),
    adminRoute({
      method: "GET",
      path: "/v1/clusters/{cluster}/edits",
      name: "listEdits",
      summary: "Lists what operators have said about nodes, over what config and discovery say.",
      params: { cluster: CLUSTER_PARAM },
      answers: { 200: { description: "As far as this replica knows.", schema: EDITS } },
      errors: ["ERR_NOT_FOUND", "ERR_DRAINING"],
      handle: ({ params: { cluster } }) => ok(editsView(cluster, operations.registry(cluster))),
    }),
  ];
}

function editRoutes(subject: AdminSubject): readonly AdminRoute[] {
  const { operations } = subject;
  const answer = { description: "What became of it.", schema: NODE_CHANGE };
  const errors = ["ERR_NOT_FOUND", "ERR_STORE", "ERR_DRAINING"] as const;
  return [
    adminRoute({
      method: "POST",
      path: "/v1/clusters/{cluster}/nodes",
      name: "addNode",
      summary: "Adds a node that is not there yet.",
      params: { cluster: CLUSTER_PARAM },
      body: object(
        { node: text({ minLength: 1, maxLength: NODE_LENGTH_MAX, description: "As in --nodes, without a weight." }) },
        { weight: WEIGHT, mode: MODE },
      ),
      answers: { 201: answer },
      errors: [...errors, "ERR_CONFLICT"],
      async handle({ params: { cluster }, body: { node, ...said } }) {
        const id = idOf(node, { pointer: "/node" });
        const result = await operations.editNode(cluster, { id, presence: "added", ...said }, { expects: "absent" });
        return created(subject, { cluster, id, result });
      },
    }),
    adminRoute({
      method: "PUT",
      path: "/v1/clusters/{cluster}/nodes/{node}",
      name: "setNode",
      summary: "Adds a node, or changes the one that is there.",
      params: PARAMS,
      body: object({}, { weight: WEIGHT, mode: MODE }),
      answers: { 200: answer, 201: answer },
      errors,
      async handle({ params, body }) {
        const { cluster, id } = placeOf(params);
        const wasThere = viewOf(subject, cluster, id) !== undefined;
        const result = await operations.editNode(cluster, { id, presence: "added", ...body });
        if (!wasThere && result === "applied") return created(subject, { cluster, id, result });
        return changed(subject, { cluster, id, result });
      },
    }),
    adminRoute({
      method: "PATCH",
      path: "/v1/clusters/{cluster}/nodes/{node}",
      name: "changeNode",
      summary: "Changes the weight or the mode of a node that is there; null gives it the weight of the config again.",
      params: PARAMS,
      body: object({}, { weight: nullable(WEIGHT), mode: MODE }, { minProperties: 1 }),
      answers: { 200: answer },
      errors,
      async handle({ params, body }) {
        const { cluster, id } = placeOf(params);
        const result = await operations.editNode(cluster, { id, ...body }, { expects: "present" });
        return changed(subject, { cluster, id, result });
      },
    }),
    adminRoute({
      method: "DELETE",
      path: "/v1/clusters/{cluster}/nodes/{node}",
      name: "removeNode",
      summary: "Removes a node, whoever names it; what runs there goes on.",
      params: PARAMS,
      answers: { 200: answer },
      errors,
      async handle({ params }) {
        const { cluster, id } = placeOf(params);
        const result = await operations.editNode(cluster, { id, presence: "removed" });
        return changed(subject, { cluster, id, result });
      },
    }),
    adminRoute({
      method: "POST",
      path: "/v1/clusters/{cluster}/nodes/{node}/forget",
      name: "forgetNode",
      summary: "Takes back all that operators have said about a node: it is again what config and discovery say.",
      params: PARAMS,
      answers: { 200: answer },
      errors,
      async handle({ params }) {
        const { cluster, id } = placeOf(params);
        const result = await operations.editNode(cluster, { id, ...FORGOTTEN });
        return changed(subject, { cluster, id, result });
      },
    }),
  ];
}

function repairRoutes(subject: AdminSubject): readonly AdminRoute[] {
  const { operations } = subject;
  const answers = { 200: { description: "What became of it.", schema: NODE_CHANGE } };
  const errors = ["ERR_NOT_FOUND", "ERR_DRAINING"] as const;
  return [
    adminRoute({
      method: "POST",
      path: "/v1/clusters/{cluster}/nodes/{node}/reset",
      name: "resetNode",
      summary: "Closes the breaker of a node, takes its ejection back, and trusts it again.",
      params: PARAMS,
      answers,
      errors,
      handle({ params }) {
        const { cluster, id } = placeOf(params);
        return changed(subject, { cluster, id, result: operations.resetNode({ cluster, node: id }) });
      },
    }),
    adminRoute({
      method: "POST",
      path: "/v1/clusters/{cluster}/nodes/{node}/mark-alive",
      name: "markNodeAlive",
      summary: "Takes a node out of the dead-host set without waiting for a ping.",
      params: PARAMS,
      answers,
      errors,
      handle({ params }) {
        const { cluster, id } = placeOf(params);
        return changed(subject, { cluster, id, result: operations.markAlive({ cluster, node: id }) });
      },
    }),
  ];
}

interface NodeResult {
  readonly cluster: string;
  readonly id: string;
  readonly result: ChangeResult;
}

function changed(subject: AdminSubject, change: NodeResult): AdminAnswer {
  return { ...ok(changeOf(subject, change)), about: { node: change.id } };
}

function created(subject: AdminSubject, change: NodeResult): AdminAnswer {
  const { cluster, id } = change;
  const location = `/v1/clusters/${encodeURIComponent(cluster)}/nodes/${encodeURIComponent(id)}`;
  return { ...changed(subject, change), status: 201, headers: { location } };
}

function changeOf(subject: AdminSubject, { cluster, id, result }: NodeResult): ValueOf<typeof NODE_CHANGE> {
  const node = viewOf(subject, cluster, id);
  return node === undefined ? { result } : { result, node };
}

function viewOf({ operations, recentOf }: AdminSubject, cluster: string, id: string): ValueOf<typeof NODE> | undefined {
  const found = operations.snapshot().nodes.find((node) => node.cluster === cluster && node.id === id);
  return found === undefined ? undefined : nodeView(found, recentOf(cluster, id));
}

function editsView(cluster: string, { version, edits }: Registry): ValueOf<typeof EDITS> {
  const rows = [...edits].map(([node, edit]) => ({ node, ...edit }));
  return { cluster, version, edits: rows.sort((one, other) => (one.node < other.node ? -1 : 1)) };
}

/** What the parts of a path name. Throws `ERR_BAD_REQUEST` for a node that has no address. */
function placeOf({ cluster, node }: Readonly<Record<string, string>>): Pick<NodeResult, "cluster" | "id"> {
  return { cluster, id: idOf(node, { parameter: "node" }) };
}

/** The id of a node, however its address is written. */
function idOf(address: string, place: { readonly pointer: string } | { readonly parameter: string }): string {
  const node = parseNodeName(address);
  if ("reason" in node) throw new RequestError(`a node must have an address, got ${node.reason}`, place);
  return node.id;
}
