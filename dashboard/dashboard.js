// The page: reads the stream of events and keeps what is shown in step with it. Nothing is drawn twice in a frame.
import { ApiError, call, nodePath } from "./api.js";
import { byId, create, find, once, setText } from "./document.js";
import { dayOf, short, timeOfDay } from "./format.js";
import { AddDialog, NodeDialog } from "./node-dialogs.js";
import { Overview, titleOf } from "./overview.js";
import { Ring } from "./ring.js";
import { clusterNote, Rows } from "./rows.js";
import { append, copyOf, emptySeries, SAMPLES_MAX } from "./series.js";
import { Changes } from "./states.js";
import { runStream } from "./stream.js";
import { Tabs } from "./tabs.js";

/** @typedef {import("./shapes.js").StatusShape} StatusShape */
/** @typedef {import("./shapes.js").NodeShape} NodeShape */
/** @typedef {import("./series.js").Series} Series */

/** Policies without a ring: asking for it would only be refused, and be a fault in the console. */
const WITHOUT_RING = new Set(["maglev", "rendezvous", "weighted-round-robin", "least-loaded", "p2c-ewma", "random"]);

const MESSAGE_MS = 10_000;
/** So many samples that were missed are a gap in the lines; more are asked for again. On a slow line asking costs more. */
const GAP_MAX = 5;
/** The ring is not asked for more often, however fast nodes come and go. */
const RING_MS = 1000;

const link = byId("link");
const lost = byId("lost");
const back = byId("back");
const message = byId("message");
const overview = new Overview();
const changes = new Changes();
const tabs = new Tabs(() => onCluster());
const rows = new Rows({ onToggle: toggle, onManage: (node) => nodeDialog.open(node) });
const nodeDialog = new NodeDialog(tell);
const addDialog = new AddDialog(tell);
const ring = new Ring((explanation, isAgain) => {
  // Whoever has gone on to another cluster is not taken back because a node has changed.
  if (explanation.cluster !== undefined && !isAgain) tabs.choose(explanation.cluster);
  rows.mark(explanation.isFixed ? explanation.node : undefined);
});

/** @type {StatusShape | undefined} */
let status;
let total = emptySeries();
/** @type {Map<string, Series>} of the nodes of the chosen cluster, by id */
let series = new Map();
/** Of the newest sample that is part of these; undefined while they are being fetched. */
let /** @type {number | undefined} */ sequence;
/** Samples that have come meanwhile. @type {import("./shapes.js").HistorySample[]} */
let waiting = [];
/** Answers to questions that others have followed are not taken. */
let fetches = 0;
/** What the ring depends on, as it was drawn. */
let ringShape = "";
/** What the way of a URL depends on besides. */
let statesShape = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let ringTimer;
let isStatusDue = false;
let isSampleDue = false;

/** Draws what has come since the last frame; a page that nobody sees draws nothing. */
function draw() {
  if (status === undefined) return;
  if (isStatusDue) {
    isStatusDue = false;
    overview.update(status);
    const gone = tabs.update(status.clusters);
    if (gone !== undefined) tell(`Cluster ${gone} is gone: what is shown is ${tabs.chosen}.`);
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
  drawRing(cluster, nodes);
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

/**
 * Asks anew for what has changed.
 * @param {import("./shapes.js").ClusterShape | undefined} cluster
 * @param {readonly import("./shapes.js").NodeShape[]} nodes of the cluster
 */
function drawRing(cluster, nodes) {
  const shape = JSON.stringify([tabs.chosen, cluster?.policy, nodes.map(({ id, weight }) => [id, weight])]);
  const states = JSON.stringify([shape, status?.nodes.map(({ states: own }) => own)]);
  if (shape === ringShape && states === statesShape) return;
  if (ringTimer !== undefined) return;
  ringTimer = setTimeout(() => {
    ringTimer = undefined;
    schedule({ isStatus: true });
  }, RING_MS);
  if (shape !== ringShape) {
    ringShape = shape;
    const ids = nodes.map(({ id }) => id);
    if (WITHOUT_RING.has(cluster?.policy ?? "")) ring.clear("The policy of this cluster has no ring.");
    else void loadRing(shape, ids);
  }
  if (states === statesShape) return;
  statesShape = states;
  ring.refresh();
}

/**
 * @param {string} shape
 * @param {readonly string[]} ids
 */
async function loadRing(shape, ids) {
  // The next status asks again.
  if (!(await ring.load(tabs.chosen, ids)) && ringShape === shape) ringShape = "";
}

async function fetchHistory() {
  const cluster = tabs.chosen;
  const own = ++fetches;
  sequence = undefined;
  waiting = [];
  try {
    /** @type {import("./shapes.js").HistoryView} */
    const view = await call(`v1/history?cluster=${encodeURIComponent(cluster)}`);
    if (own !== fetches) return;
    total = copyOf(view.total);
    series = new Map((view.nodes ?? []).map((node) => [node.id, copyOf(node)]));
    sequence = view.sequence;
    // Without those that came during the answer each page would begin with a gap.
    const came = waiting;
    waiting = [];
    for (const sample of came) takeSample(sample);
    schedule({ isSample: true });
  } catch (error) {
    // The next sample that does not follow asks again.
    if (!(error instanceof ApiError)) throw error;
    if (own === fetches) sequence = Number.NEGATIVE_INFINITY;
  }
}

/** @param {import("./shapes.js").HistorySample} sample */
function takeSample(sample) {
  if (sequence === undefined) {
    if (waiting.length < SAMPLES_MAX) waiting.push(sample);
    return;
  }
  if (tabs.chosen === "" || sample.sequence <= sequence) return;
  const missed = sample.sequence - sequence - 1;
  if (missed > GAP_MAX) {
    void fetchHistory();
    return;
  }
  for (let count = 0; count < missed; count++) for (const own of [total, ...series.values()]) append(own, undefined);
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

/** @param {NodeShape} node */
async function toggle(node) {
  const mode = node.mode === "active" ? "draining" : "active";
  // Somebody else's requests hang on it: asked first.
  if (mode === "draining" && nodeDialog.isLastServing(node)) nodeDialog.open(node, mode);
  else await setMode(node, mode, node.mode);
}

/**
 * @param {NodeShape} node
 * @param {NodeShape["mode"]} mode
 * @param {NodeShape["mode"]} [before] what takes it back
 */
async function setMode(node, mode, before) {
  try {
    await call(nodePath(node), { method: "PATCH", body: { mode } });
    const running = node.inFlight === 0 ? "" : `, ${short(node.inFlight)} in flight go on`;
    const text =
      mode === "draining"
        ? `${node.id} is draining: no new keys come to it${running}.`
        : `${node.id} is ${mode} again.`;
    tell(text, before === undefined ? {} : { undo: () => setMode(node, before) });
  } catch (error) {
    tell(`${node.id} was not changed: ${error instanceof ApiError ? error.message : error}`, { tone: "bad" });
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let messageTimer;

/**
 * Says what became of an edit.
 * @param {string} text
 * @param {{ readonly tone?: "good" | "bad", readonly undo?: () => Promise<void>, readonly button?: HTMLElement }} [options] what
 * went wrong stays until it is closed
 */
function tell(text, { tone = "good", undo, button } = {}) {
  clearTimeout(messageTimer);
  message.className = `banner shown ${tone}`;
  const buttons = create("span", "buttons");
  if (undo !== undefined) buttons.append(takeBack(undo));
  if (button !== undefined) buttons.append(button);
  const close = create("button", "", "Close");
  close.type = "button";
  close.addEventListener("click", () => hide(message));
  buttons.append(close);
  message.replaceChildren(create("span", "", text), buttons);
  if (tone === "good") messageTimer = setTimeout(hideUnused, MESSAGE_MS);
}

/** @param {() => Promise<void>} undo */
function takeBack(undo) {
  const button = create("button", "", "Undo");
  button.type = "button";
  button.addEventListener("click", () =>
    once(button, async () => {
      try {
        await undo();
        // What it says itself stands there instead.
        if (button.isConnected) hide(message);
      } catch (error) {
        tell(`Not taken back: ${error instanceof ApiError ? error.message : error}`, { tone: "bad" });
      }
    }),
  );
  return button;
}

/** Not while somebody reads it or is about to press its button. */
function hideUnused() {
  if (message.matches(":hover, :focus-within")) messageTimer = setTimeout(hideUnused, MESSAGE_MS);
  else hide(message);
}

/** @param {HTMLElement} banner */
function hide(banner) {
  banner.className = "banner";
  banner.replaceChildren();
}

let retry = new AbortController();

/** @param {ApiError} error */
function showLost(error) {
  link.dataset.link = error.status === 401 ? "locked" : "lost";
  setText(link, error.status === 401 ? "No token" : "Connection lost");
  setText(back, "");
  document.title = `${link.textContent} · fnlb`;
  document.body.toggleAttribute("data-stale", status !== undefined);
  const since = status === undefined ? "" : ` What is shown is from ${momentOf(status.atMs)}.`;
  const text =
    error.status === 401
      ? "The balancer answers only with its token."
      : `Connection lost: ${error.message}. Trying again by itself.${since}`;
  // Said once, and not at each try.
  if (lost.firstElementChild?.textContent === text) return;
  lost.className = "banner shown bad";
  const again = create("button", "", error.status === 401 ? "Enter token" : "Try now");
  again.type = "button";
  again.addEventListener("click", tryNow);
  lost.replaceChildren(create("span", "", text), again);
}

/**
 * With the day where it is another one than today: a page may be left open overnight.
 * @param {number} ms since the epoch
 */
function momentOf(ms) {
  return dayOf(ms) === dayOf(Date.now()) ? timeOfDay(ms) : `${dayOf(ms)}, ${timeOfDay(ms)}`;
}

function tryNow() {
  retry.abort();
  retry = new AbortController();
}

/** Timers of a tab that nobody sees run late: whoever comes back to it, or to the network, does not wait for them. */
function tryIfLost() {
  if (!document.hidden && link.dataset.link === "lost") tryNow();
}
document.addEventListener("visibilitychange", tryIfLost);
addEventListener("online", tryIfLost);

// The address keeps the name of the cluster, and not that somebody skipped the head.
find(document, ".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("cluster").focus();
});
byId("add").addEventListener("click", () => addDialog.open(tabs.chosen));

/** @param {StatusShape} now */
function onBack(now) {
  if (link.dataset.link === "lost") setText(back, "Connected again.");
  link.dataset.link = "live";
  setText(link, "Live");
  document.body.removeAttribute("data-stale");
  hide(lost);
  const before = status?.version ?? now.version;
  if (before !== now.version) offerReload(before, now.version);
  ringShape = "";
  const asked = fetches;
  tabs.update(now.clusters);
  // The choice of a cluster has asked for it already.
  if (fetches === asked) void fetchHistory();
}

/**
 * The page is of the version that was there when it was opened.
 * @param {string} before
 * @param {string} now
 */
function offerReload(before, now) {
  const reload = create("button", "", "Reload");
  reload.type = "button";
  reload.addEventListener("click", () => location.reload());
  tell(`fnlb was ${before} and is ${now} now: reload this page.`, { tone: "bad", button: reload });
}

void runStream(
  {
    onStatus(now) {
      if (link.dataset.link !== "live") onBack(now);
      status = now;
      document.title = titleOf(now);
      changes.update(now);
      schedule({ isStatus: true });
    },
    onSample: takeSample,
    onLost: showLost,
  },
  () => retry.signal,
);
