import { ringHash } from "./ring-hash.js";

/** Every policy by the name that configurations use: one factory each. */
export const POLICIES = {
  "ring-hash": ringHash,
} as const;
