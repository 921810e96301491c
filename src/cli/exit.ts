/** Exit codes of the command. */
export const EXIT = {
  CLEAN: 0,
  /** Something that ran had to be cut. */
  CUT: 1,
  CANNOT_START: 1,
  /** A running balancer refused what it was asked, or could not be asked. */
  FAILED: 1,
  USAGE: 2,
} as const;
