import { badOption, parseDuration } from "../../../config/units.js";
import { EXIT } from "../../exit.js";
import { Refusal } from "../admin-client.js";
import { askNodes, askStatus } from "../answers.js";
import type { CommandContext } from "../command.js";
import { Screen } from "../display/screen.js";
import { plainText } from "../display/text-width.js";
import { type Sample, watchFrame, watchLines } from "../display/watch-frame.js";

const INTERVAL_MS = 1000;
const INTERVAL_MS_MIN = 100;

/**
 * `fnlb status --watch`: a table that is painted over on a terminal, lines elsewhere, until a signal ends it or nobody reads
 * any more. A server that is away is asked again.
 */
export async function watch({ admin, terminal, call, pause, untilSignal }: CommandContext): Promise<number> {
  const intervalMs = readInterval(call.text("interval"));
  const gone = new AbortController();
  const stopListening = terminal.onGone(() => gone.abort());
  const end = AbortSignal.any([untilSignal(), gone.signal]);
  const isJson = call.isSet("json");
  const screen = terminal.isTty && !isJson ? new Screen(terminal) : undefined;
  let previous: Sample | undefined;
  let current: Sample | undefined;
  let silence: string | undefined;
  const frame = () =>
    watchFrame({
      place: admin.place.name,
      current,
      previous,
      silence,
      columns: terminal.columns(),
      rows: terminal.rows(),
      hasColor: terminal.hasColor,
    });
  const stopResizing = screen === undefined ? () => {} : terminal.onResize(() => screen.paint(frame()));
  try {
    do {
      let text = "";
      try {
        const answer = await askStatus(admin, end);
        text = answer.text;
        const { nodes } = isJson ? { nodes: [] } : await askNodes(admin, undefined, end);
        [previous, current] = [current, { status: answer.status, nodes }];
        silence = undefined;
      } catch (error) {
        if (end.aborted) break;
        // What is refused now will be refused again; an answer that does not come, or 503, may come yet.
        if (!(error instanceof Refusal) || (error.status > 0 && error.status < 500)) throw error;
        silence = error.message;
        if (isJson) terminal.complain(`${error.message}, trying again`);
      }
      if (screen !== undefined) screen.paint(frame());
      else if (silence !== undefined) {
        if (!isJson) terminal.write(`no answer, trying again: ${plainText(silence)}\n`);
      } else if (isJson) terminal.write(`${text.trimEnd()}\n`);
      else if (current !== undefined) terminal.write(`${watchLines(current, previous).join("\n")}\n`);
    } while (await pause(intervalMs, end));
  } finally {
    stopResizing();
    stopListening();
    screen?.close();
  }
  return EXIT.CLEAN;
}

function readInterval(text: string | undefined): number {
  if (text === undefined) return INTERVAL_MS;
  const intervalMs = parseDuration(text);
  if (intervalMs === undefined || intervalMs < INTERVAL_MS_MIN) {
    throw badOption('option "interval"', `a time of at least ${INTERVAL_MS_MIN}ms, such as 1s`, text);
  }
  return intervalMs;
}
