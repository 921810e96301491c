import { leastLoaded } from "./least-loaded.js";
import { maglev } from "./maglev.js";
import { p2cEwma } from "./p2c-ewma.js";
import { randomChoice } from "./random.js";
import { rendezvous } from "./rendezvous.js";
import { ringHash } from "./ring-hash.js";
import { weightedRoundRobin } from "./weighted-round-robin.js";

/** Every policy by the name that configurations use: one factory each. */
export const POLICIES = {
  "ring-hash": ringHash,
  maglev,
  rendezvous,
  "weighted-round-robin": weightedRoundRobin,
  "least-loaded": leastLoaded,
  "p2c-ewma": p2cEwma,
  random: randomChoice,
} as const;
