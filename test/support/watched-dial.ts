import type { Dial } from "../../src/core/stream.js";

/** A dial that sees what it has opened and what came, so that a test can tell that nothing is left. */
export class WatchedDial {
  /** Dials that have neither ended nor been given up. */
  dialling = 0;
  /** Streams that have not closed. */
  open = 0;
  /** Bytes that have been handed on, of all streams. */
  bytesSeen = 0;
  /** Dials that were started. */
  count = 0;
  readonly dial: Dial;

  constructor(inner: Dial) {
    this.dial = (target, handler) => {
      this.count++;
      this.dialling++;
      let isOver = false;
      const over = () => {
        if (!isOver) this.dialling--;
        isOver = true;
      };
      const cancel = inner(target, {
        onDialed: (stream) => {
          over();
          this.open++;
          handler.onDialed(stream);
          const user = stream.handler;
          stream.handler = {
            onData: (buffer, start, end) => {
              this.bytesSeen += end - start;
              user.onData(buffer, start, end);
            },
            onDrain: () => user.onDrain(),
            onEnd: () => user.onEnd(),
            onClose: (code) => {
              this.open--;
              user.onClose(code);
            },
          };
        },
        onDialFailed: (code) => {
          over();
          handler.onDialFailed(code);
        },
      });
      return () => {
        over();
        cancel();
      };
    };
  }

  get isIdle(): boolean {
    return this.dialling === 0 && this.open === 0;
  }
}
