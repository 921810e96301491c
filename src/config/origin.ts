import type { Given } from "./value.js";

/** Text of an option, and how far up it comes from. */
export interface Origin extends Given {
  /** `--nodes`, `FNLB_NODES`, `fnlb.yaml:3:5`, `default`. */
  readonly place: string;
  /** It stands for this cluster and no other. */
  readonly isOwn: boolean;
  /** Nobody has said anything. */
  readonly isDefault: boolean;
}
