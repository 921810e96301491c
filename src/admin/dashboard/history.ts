import type { AnswerStats } from "../../core/answer-stats.js";
import { type Clock, sleep } from "../../core/clock.js";
import { Histogram } from "../../core/histogram.js";
import type { BalancerSnapshot, ClusterSnapshot, NodeSnapshot } from "../../core/snapshot.js";
import { HTTP_STATUS } from "../../errors.js";

/** What happened in the time between two samples. */
export interface HistoryPoint {
  /** Answers of a node, requests to a cluster, a second. */
  readonly rate: number | null;
  /** A second. Of a node: answers of 5xx, faults and failed dials; of a cluster: those of 5xx that its clients got. */
  readonly errors: number | null;
  /** Until the head of a response; null where none was timed. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** At the moment of the sample. */
  readonly inFlight: number | null;
}

/** What is known of something right now. */
export type RecentPoint = Omit<HistoryPoint, "inFlight">;

/** Points, oldest first; null where something was not there. */
export type HistorySeries = { readonly [name in keyof HistoryPoint]: readonly HistoryPoint[name][] };

/** What the stream of events tells when a sample was taken. */
export interface HistorySample {
  /** One more than that of the sample before. */
  readonly sequence: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly total: HistoryPoint;
  readonly clusters: readonly (HistoryPoint & {
    readonly name: string;
    readonly nodes: readonly (HistoryPoint & { readonly id: string })[];
  })[];
}

/** The last minutes of everything, or of one cluster and its nodes beside it. */
export interface HistoryView {
  /** Of the newest sample; 0 before the first. */
  readonly sequence: number;
  readonly intervalMs: number;
  /** When each sample was taken, in milliseconds since the epoch. */
  readonly atMs: readonly number[];
  readonly total: HistorySeries;
  readonly cluster?: HistorySeries & { readonly name: string };
  readonly nodes?: readonly (HistorySeries & { readonly id: string })[];
}

export interface HistoryOptions {
  /** Between two samples. Default: 2 s. */
  readonly intervalMs: number;
  /** How many are kept. Default: 150, five minutes. */
  readonly samplesMax: number;
  /** Nodes above it, over all clusters and in the order of the config, are left out. Default: 2,000. */
  readonly nodesMax: number;
}

/**
 * A node costs 5 series x 150 samples x 4 bytes = 3,000 bytes, and 1,808 more for the histogram that the next sample is
 * compared with: 2,000 nodes hold 10 MB.
 */
export const HISTORY_DEFAULTS: HistoryOptions = { intervalMs: 2000, samplesMax: 150, nodesMax: 2000 };

/** What of something only grows, at one moment. */
interface Totals {
  readonly requests: number;
  readonly errors: number;
  readonly headTime: Histogram;
}

/** Of what has just begun. */
const NOTHING: Totals = { requests: 0, errors: 0, headTime: new Histogram() };
const NAMES = ["rate", "errors", "p50Ms", "p99Ms", "inFlight"] as const satisfies readonly (keyof HistoryPoint)[];
/** Enough for a plot, and a third of the text. */
const DIGITS = 4;

/**
 * Samples of the last minutes, taken from snapshots: of the whole balancer, of each cluster and of each node. What has
 * left is forgotten when its last sample has.
 */
export class History {
  readonly #options: HistoryOptions;
  readonly #atMs: Float64Array;
  readonly #total: Track;
  readonly #clusters = new Map<string, ClusterTrack>();
  #sequence = 0;
  #lastMs = Number.NaN;
  /** Whatever was there at the last sample has a track: what comes without one has begun since. */
  #isComplete = false;

  constructor(options: HistoryOptions = HISTORY_DEFAULTS) {
    this.#options = options;
    this.#atMs = new Float64Array(options.samplesMax);
    this.#total = new Track(options.samplesMax);
  }

  /**
   * Compares a snapshot with the one before; undefined for the first one, which says nothing yet. `nowMs` is of a clock that
   * never goes back, `wallMs` since the epoch.
   */
  add(snapshot: BalancerSnapshot, { nowMs, wallMs }: { nowMs: number; wallMs: number }): HistorySample | undefined {
    const seconds = (nowMs - this.#lastMs) / 1000;
    this.#lastMs = nowMs;
    const isFirst = Number.isNaN(seconds);
    if (!isFirst) this.#sequence++;
    const moment = { sequence: this.#sequence, slot: this.#sequence % this.#options.samplesMax, seconds };
    this.#atMs[moment.slot] = wallMs;
    const nodesOf = this.#nodesByCluster(snapshot.nodes);
    const before = this.#isComplete ? NOTHING : undefined;
    this.#isComplete = snapshot.nodes.length <= this.#options.nodesMax;
    const sum = { requests: 0, errors: 0, headTime: new Histogram() };
    let inFlight = 0;
    const clusters: HistorySample["clusters"][number][] = [];
    for (const cluster of snapshot.clusters) {
      const track = this.#clusterTrack(cluster.name, isFirst ? undefined : NOTHING);
      const grown = track.own.grownTo(totalsOfCluster(cluster));
      if (grown !== undefined) {
        sum.requests += grown.requests;
        sum.errors += grown.errors;
        sum.headTime.merge(grown.headTime);
      }
      inFlight += cluster.inFlight;
      const nodes = (nodesOf.get(cluster.name) ?? []).map((node) => {
        const own = track.nodeTrack(node.id, before);
        return { id: node.id, ...own.note(own.grownTo(totalsOfNode(node)), node.inFlight, moment) };
      });
      clusters.push({ name: cluster.name, ...track.own.note(grown, cluster.inFlight, moment), nodes });
    }
    this.#forget();
    if (isFirst) return undefined;
    const total = this.#total.note(sum, inFlight, moment);
    return { sequence: this.#sequence, atMs: wallMs, total, clusters };
  }

  /** Undefined for a cluster that there is not. Without a name: what all clusters together did. */
  view(name?: string): HistoryView | undefined {
    const track = name === undefined ? undefined : this.#clusters.get(name);
    if (name !== undefined && track === undefined) return undefined;
    const { samplesMax, intervalMs } = this.#options;
    const first = Math.max(1, this.#sequence - samplesMax + 1);
    const sequences = Array.from({ length: this.#sequence - first + 1 }, (_, index) => first + index);
    const all = {
      sequence: this.#sequence,
      intervalMs,
      atMs: sequences.map((sequence) => this.#atMs[sequence % samplesMax]),
      total: this.#total.series(sequences),
    };
    if (name === undefined || track === undefined) return all;
    return {
      ...all,
      cluster: { name, ...track.own.series(sequences) },
      nodes: [...track.nodes].map(([id, node]) => ({ id, ...node.series(sequences) })),
    };
  }

  /** The newest sample of a cluster, or of one of its nodes; undefined where it has none. */
  recent(cluster: string, node?: string): RecentPoint | undefined {
    const track = this.#clusters.get(cluster);
    return (node === undefined ? track?.own : track?.nodes.get(node))?.recent(this.#sequence);
  }

  #nodesByCluster(nodes: readonly NodeSnapshot[]): ReadonlyMap<string, readonly NodeSnapshot[]> {
    const byCluster = new Map<string, NodeSnapshot[]>();
    for (const node of nodes.slice(0, this.#options.nodesMax)) {
      const those = byCluster.get(node.cluster);
      if (those === undefined) byCluster.set(node.cluster, [node]);
      else those.push(node);
    }
    return byCluster;
  }

  #clusterTrack(name: string, before: Totals | undefined): ClusterTrack {
    let track = this.#clusters.get(name);
    if (track === undefined) {
      track = new ClusterTrack(this.#options.samplesMax, this.#sequence, before);
      this.#clusters.set(name, track);
    }
    return track;
  }

  #forget(): void {
    const oldest = this.#sequence - this.#options.samplesMax;
    for (const [name, { own, nodes }] of this.#clusters) {
      if (own.lastSequence <= oldest) this.#clusters.delete(name);
      for (const [id, node] of nodes) if (node.lastSequence <= oldest) nodes.delete(id);
    }
  }
}

interface Moment {
  readonly sequence: number;
  readonly slot: number;
  /** Since the sample before. */
  readonly seconds: number;
}

const NO_POINT: HistoryPoint = { rate: null, errors: null, p50Ms: null, p99Ms: null, inFlight: null };

/** The samples of one thing, in the slots that all things share. */
class Track {
  /** Series by series; NaN where there is nothing. */
  readonly #values: Float32Array;
  readonly #samplesMax: number;
  #before: Totals | undefined;
  /** Of its newest sample; NaN in between is no sample. */
  lastSequence: number;

  /** `before` is what it began with; undefined: nobody knows, and its first sample says nothing. */
  constructor(samplesMax: number, sequence = 0, before?: Totals) {
    this.#before = before;
    this.#samplesMax = samplesMax;
    this.#values = new Float32Array(NAMES.length * samplesMax).fill(Number.NaN);
    this.lastSequence = sequence;
  }

  /** What was added since the last call; undefined at the first. Less than before: it has left, come back, and begun anew. */
  grownTo(now: Totals): Totals | undefined {
    const last = this.#before;
    this.#before = now;
    if (last === undefined) return undefined;
    const before = now.requests < last.requests || now.errors < last.errors ? NOTHING : last;
    return {
      requests: now.requests - before.requests,
      errors: now.errors - before.errors,
      headTime: now.headTime.since(before.headTime),
    };
  }

  note(grown: Totals | undefined, inFlight: number, { sequence, slot, seconds }: Moment): HistoryPoint {
    // Slots in which it was not there still hold what was there a window ago.
    const missed = Math.min(sequence - this.lastSequence - 1, this.#samplesMax - 1);
    for (let back = 1; back <= missed; back++) {
      this.#write((slot - back + this.#samplesMax) % this.#samplesMax, NO_POINT);
    }
    const point = grown === undefined ? NO_POINT : pointOf(grown, inFlight, seconds);
    this.#write(slot, point);
    this.lastSequence = sequence;
    return point;
  }

  /** Undefined where it has no sample of that sequence. */
  recent(sequence: number): RecentPoint | undefined {
    const { rate, errors, p50Ms, p99Ms } = this.series([sequence]);
    return rate[0] === null ? undefined : { rate: rate[0], errors: errors[0], p50Ms: p50Ms[0], p99Ms: p99Ms[0] };
  }

  series(sequences: readonly number[]): HistorySeries {
    const of = (index: number) =>
      sequences.map((sequence) => {
        if (sequence > this.lastSequence) return null;
        const value = this.#values[index * this.#samplesMax + (sequence % this.#samplesMax)];
        return Number.isNaN(value) ? null : rounded(value);
      });
    const [rate, errors, p50Ms, p99Ms, inFlight] = NAMES.map((_, index) => of(index));
    return { rate, errors, p50Ms, p99Ms, inFlight };
  }

  #write(slot: number, point: HistoryPoint): void {
    NAMES.forEach((name, index) => {
      this.#values[index * this.#samplesMax + slot] = point[name] ?? Number.NaN;
    });
  }
}

class ClusterTrack {
  readonly own: Track;
  /** By id. */
  readonly nodes = new Map<string, Track>();
  readonly #samplesMax: number;

  constructor(samplesMax: number, sequence: number, before: Totals | undefined) {
    this.own = new Track(samplesMax, sequence, before);
    this.#samplesMax = samplesMax;
  }

  nodeTrack(id: string, before: Totals | undefined): Track {
    let track = this.nodes.get(id);
    if (track === undefined) {
      track = new Track(this.#samplesMax, this.own.lastSequence, before);
      this.nodes.set(id, track);
    }
    return track;
  }
}

function pointOf({ requests, errors, headTime }: Totals, inFlight: number, seconds: number): HistoryPoint {
  const isTimed = headTime.count > 0;
  return {
    rate: rounded(requests / seconds),
    errors: rounded(errors / seconds),
    p50Ms: isTimed ? rounded(headTime.quantile(0.5)) : null,
    p99Ms: isTimed ? rounded(headTime.quantile(0.99)) : null,
    inFlight,
  };
}

function answersOf(answers: Readonly<AnswerStats>): number {
  const { responses1xx, responses2xx, responses3xx, responses4xx, responses5xx } = answers;
  return responses1xx + responses2xx + responses3xx + responses4xx + responses5xx;
}

function totalsOfNode({ stats }: NodeSnapshot): Totals {
  const { answers, faults, dialsFailed } = stats;
  return {
    requests: answersOf(answers),
    errors: answers.responses5xx + faults + dialsFailed,
    headTime: answers.headTime,
  };
}

function totalsOfCluster({ stats }: ClusterSnapshot): Totals {
  let errors = stats.answers.responses5xx;
  for (const [code, count] of stats.problems) if (HTTP_STATUS[code] >= 500) errors += count;
  return { requests: stats.requests, errors, headTime: stats.answers.headTime };
}

function rounded(value: number): number {
  return Number(value.toPrecision(DIGITS));
}

export interface HistoryDependencies {
  readonly clock: Clock;
  readonly history: History;
  readonly snapshot: () => BalancerSnapshot;
  readonly onSample: (sample: HistorySample) => void;
}

/** Takes a sample every `intervalMs` until the signal ends it. */
export async function runHistory(
  { clock, history, snapshot, onSample }: HistoryDependencies,
  { intervalMs }: Pick<HistoryOptions, "intervalMs">,
  signal: AbortSignal,
): Promise<void> {
  do {
    const sample = history.add(snapshot(), { nowMs: clock.now(), wallMs: clock.wallNow() });
    if (sample !== undefined) onSample(sample);
  } while (await sleep(clock, intervalMs, signal));
}
