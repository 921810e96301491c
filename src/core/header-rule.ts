/** One change to the fields of a request on its way to a node, or of a response on its way to a client. */
export interface HeaderRule {
  /** `set`: one field in place of all of that name; `add`: one more; `remove`: none is left. */
  readonly action: "set" | "add" | "remove";
  /** Compared without regard to case, sent as it is written here. */
  readonly name: string;
  /** May hold placeholders (`docs/headers.md`); "" for `remove`. */
  readonly value: string;
}
