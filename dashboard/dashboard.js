// The page: reads the stream of events and keeps what is shown in step with it. Nothing is drawn twice in a frame.
import { ApiError, call, nodePath } from "./api.js";
import { byId, create, setText } from "./document.js";
import { timeOfDay } from "./format.js";
import { AddDialog, NodeDialog } from "./node-dialogs.js";
import { Overview } from "./overview.js";
import { Ring } from "./ring.js";
import { clusterNote, Rows } from "./rows.js";
import { append, copyOf, emptySeries } from "./series.js";
import { Changes } from "./states.js";
import { runStream } from "./stream.js";
import { Tabs } from "./tabs.js";

/** @typedef {import("./shapes.js").StatusShape} StatusShape */
/** @typedef {import("./series.js").Series} Series */

const MESSAGE_MS = 6000;

const link = byId("link");
const lost = byId("lost");
const message = byId("message");
const overview = new Overview();
const changes = new Changes();
const tabs = new Tabs(() => onCluster());
const rows = new Rows({ onToggle: toggle, onManage: (node) => nodeDialog.open(node) });
const nodeDialog = new NodeDialog(tell);
const addDialog = new AddDialog(tell);
const ring = new Ring((explanation) => {
  if (explanation.cluster !== undefined) tabs.choose(explanation.cluster);
  rows.mark(explanation.isFixed ? explanation.node : undefined);
});

/** @type {StatusShape | undefined} */
let status;
/** When it came, in milliseconds since the epoch. */
let statusMs = 0;
let total = emptySeries();
/** @type {Map<string, Series>} of the nodes of the chosen cluster, by id */
let series = new Map();
/** Of the newest sample that is part of these; undefined while they are being fetched. */
let /** @type {number | undefined} */ sequence;
/** The cluster that they are of. */
let seriesOf = "";
/** What the ring depends on, as it was drawn. */
let ringShape = "";
let isStatusDue = false;
let isSampleDue = false;

/** Draws what has come since the last frame; a page that nobody sees draws nothing. */
function draw() {
  if (status === undefined) return;
  if (isStatusDue) {
    isStatusDue = false;
    overview.update(status);
    tabs.update(status.clusters);
    drawCluster(status);
  }
  if (isSampleDue) {
    isSampleDue = false;
    overview.draw(total);
    rows.draw(series);
  }
}

/** @param {StatusShape} now */
function drawCluster(now) {
  const cluster = now.clusters.find(({ name }) => name === tabs.chosen);
  const nodes = now.nodes.filter((node) => node.cluster === tabs.chosen);
  setText(byId("cluster-title"), now.clusters.length > 1 ? tabs.chosen : "Nodes");
  setText(byId("cluster-note"), cluster === undefined ? "" : clusterNote(cluster));
  rows.update(nodes);
  nodeDialog.update(now.nodes);
  const shape = JSON.stringify([tabs.chosen, nodes.map(({ id, weight, states }) => [id, weight, states])]);
  if (shape === ringShape) return;
  ringShape = shape;
  void ring.load(
    tabs.chosen,
    nodes.map(({ id }) => id),
  );
  ring.refresh();
}

/** Another cluster is to be seen. */
function onCluster() {
  series = new Map();
  sequence = undefined;
  rows.clear();
  rows.mark(undefined);
  schedule({ isStatus: true, isSample: true });
  void fetchHistory();
}

async function fetchHistory() {
  const cluster = tabs.chosen;
  seriesOf = cluster;
  sequence = undefined;
  try {
    /** @type {import("./shapes.js").HistoryView} */
    const view = await call(`v1/history?cluster=${encodeURIComponent(cluster)}`);
    if (cluster !== tabs.chosen) return;
    total = copyOf(view.total);
    series = new Map((view.nodes ?? []).map((node) => [node.id, copyOf(node)]));
    sequence = view.sequence;
    schedule({ isSample: true });
  } catch (error) {
    // The next sample that does not follow asks again.
    if (!(error instanceof ApiError)) throw error;
    sequence = 0;
  }
}

/** @param {import("./shapes.js").HistorySample} sample */
function takeSample(sample) {
  if (tabs.chosen === "" || sequence === undefined || sample.sequence <= sequence) return;
  if (sample.sequence !== sequence + 1 || seriesOf !== tabs.chosen) {
    void fetchHistory();
    return;
  }
  sequence = sample.sequence;
  append(total, sample.total);
  const points = new Map(
    sample.clusters.find(({ name }) => name === tabs.chosen)?.nodes.map((point) => [point.id, point]) ?? [],
  );
  for (const id of points.keys()) if (!series.has(id)) series.set(id, emptySeries());
  for (const [id, own] of series) {
    append(own, points.get(id));
    if (own.rate.every((value) => value === null)) series.delete(id);
  }
  schedule({ isSample: true });
}

/** @param {{ readonly isStatus?: boolean, readonly isSample?: boolean }} due */
function schedule({ isStatus = false, isSample = false }) {
  if (!isStatusDue && !isSampleDue) requestAnimationFrame(draw);
  isStatusDue ||= isStatus;
  isSampleDue ||= isSample;
}

/** @param {import("./shapes.js").NodeShape} node */
async function toggle(node) {
  const mode = node.mode === "active" ? "draining" : "active";
  try {
    await call(nodePath(node), { method: "PATCH", body: { mode } });
    tell(mode === "active" ? `${node.id} is active again.` : `${node.id} is draining: no new keys come to it.`);
  } catch (error) {
    tell(`${node.id} was not changed: ${error instanceof ApiError ? error.message : error}`, "bad");
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let messageTimer;

/**
 * Says what became of an edit.
 * @param {string} text
 * @param {"good" | "bad"} [tone] what went wrong stays until it is closed
 */
function tell(text, tone = "good") {
  clearTimeout(messageTimer);
  message.className = `banner shown ${tone}`;
  const close = create("button", "", "Close");
  close.type = "button";
  close.addEventListener("click", () => hide(message));
  message.replaceChildren(create("span", "", text), close);
  if (tone === "good") messageTimer = setTimeout(() => hide(message), MESSAGE_MS);
}

/** @param {HTMLElement} banner */
function hide(banner) {
  banner.className = "banner";
  banner.replaceChildren();
}

let retry = new AbortController();

/** @param {ApiError} error */
function showLost(error) {
  link.dataset.link = "lost";
  setText(link, error.status === 401 ? "No token" : "Connection lost");
  document.body.toggleAttribute("data-stale", status !== undefined);
  const since = status === undefined ? "" : ` What is shown is from ${timeOfDay(statusMs)}.`;
  const text =
    error.status === 401
      ? "The balancer answers only with its token."
      : `Connection lost: ${error.message}. Trying again by itself.${since}`;
  // Said once, and not at each try.
  if (lost.firstElementChild?.textContent === text) return;
  lost.className = "banner shown bad";
  const again = create("button", "", error.status === 401 ? "Enter token" : "Try now");
  again.type = "button";
  again.addEventListener("click", () => {
    retry.abort();
    retry = new AbortController();
  });
  lost.replaceChildren(create("span", "", text), again);
}

byId("add").addEventListener("click", () => addDialog.open(tabs.chosen));

void runStream(
  {
    onStatus(now) {
      const isBack = link.dataset.link !== "live";
      status = now;
      statusMs = Date.now();
      if (isBack) {
        link.dataset.link = "live";
        setText(link, "Live");
        document.body.removeAttribute("data-stale");
        hide(lost);
        tabs.update(now.clusters);
        void fetchHistory();
      }
      changes.update(now.nodes, timeOfDay(statusMs));
      schedule({ isStatus: true });
    },
    onSample: takeSample,
    onLost: showLost,
  },
  () => retry.signal,
);
