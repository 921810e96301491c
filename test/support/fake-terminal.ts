import type { Terminal } from "../../src/cli/remote/display/terminal.js";

/** A terminal that remembers what was written to it. */
export interface FakeTerminal extends Terminal {
  readonly written: string;
  readonly complaints: readonly string[];
  /** What was written since the last call. */
  take(): string;
  resize(columns: number, rows: number): void;
  /** Nobody reads any more. */
  leave(): void;
}

export interface FakeTerminalOptions {
  readonly isTty?: boolean;
  readonly hasColor?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export function fakeTerminal({
  isTty = true,
  hasColor = false,
  columns = 80,
  rows = 24,
}: FakeTerminalOptions = {}): FakeTerminal {
  let size = { columns, rows };
  let written = "";
  let taken = 0;
  const complaints: string[] = [];
  const onResize = new Set<() => void>();
  const onGone = new Set<() => void>();
  const listen = (listeners: Set<() => void>) => (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    isTty,
    hasColor,
    columns: () => (isTty ? size.columns : Number.POSITIVE_INFINITY),
    rows: () => (isTty ? size.rows : Number.POSITIVE_INFINITY),
    write(text) {
      written += text;
    },
    complain: (line) => void complaints.push(line),
    onResize: listen(onResize),
    onGone: listen(onGone),
    get written() {
      return written;
    },
    complaints,
    take() {
      const text = written.slice(taken);
      taken = written.length;
      return text;
    },
    resize(nextColumns, nextRows) {
      size = { columns: nextColumns, rows: nextRows };
      for (const listener of onResize) listener();
    },
    leave() {
      for (const listener of onGone) listener();
    },
  };
}
