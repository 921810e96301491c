/** Exit codes of the command. */
export const EXIT = {
  CLEAN: 0,
  /** Something that ran had to be cut. */
  CUT: 1,
  CANNOT_START: 1,
  USAGE: 2,
} as const;
