import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { fstatSync } from "node:fs";
import type { Socket } from "node:net";
import { after } from "node:test";

/**
 * Loaded before every test file: when the last test of a file has ended, nothing may be left that it opened. What
 * keeps the process alive is named instead of hanging it, and sockets that would not are found too.
 */

/** Some things end by themselves: a socket that has been destroyed, a connection that a client keeps for a while. */
const PATIENCE_MS = 60_000;
const POLL_MS = 20;
/** The runner hears of a failure before the process, which would not end by itself, is ended. */
const FAREWELL_MS = 1000;
const STDIO = [0, 1, 2];

const sockets = new Set<Socket>();
const children = new Set<ChildProcess>();

/** What is left, in words; empty if nothing is. */
function leftovers(): string[] {
  const pipes = STDIO.filter((descriptor) => {
    const status = fstatSync(descriptor);
    return status.isFIFO() || status.isSocket();
  });
  const resources = process.getActiveResourcesInfo();
  let allowed = pipes.length;
  return [
    ...resources.filter((name) => name !== "TTYWrap" && !(name === "PipeWrap" && allowed-- > 0)),
    ...[...sockets].map(({ localPort, remotePort }) => `socket from port ${localPort} to ${remotePort}`),
    ...[...children].map(({ spawnargs }) => `process ${spawnargs.join(" ")}`),
  ];
}

const shared: (() => Promise<void>)[] = [];

/** What the tests of a file share is ended behind the last of them, and then counts as all else. */
export function shareUntilEnd(end: () => Promise<void>): void {
  shared.push(end);
}

async function requireNothing(): Promise<void> {
  for (const end of shared) await end();
  const untilMs = performance.now() + PATIENCE_MS;
  while (leftovers().length > 0) {
    const left = leftovers();
    if (performance.now() > untilMs) {
      for (const child of children) child.kill("SIGKILL");
      setTimeout(() => process.exit(1), FAREWELL_MS).unref();
      throw new Error(`the tests of this file have left behind: ${left.join(", ")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

// The runner itself, which loads this file as well, has no tests of its own.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  const note = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket };
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };
  subscribe("net.client.socket", note);
  subscribe("net.server.socket", note);
  subscribe("child_process", (message) => {
    const child = (message as { readonly process: ChildProcess }).process;
    children.add(child);
    child.once("exit", () => children.delete(child));
    child.once("error", () => children.delete(child));
  });
  after(requireNothing);
}
