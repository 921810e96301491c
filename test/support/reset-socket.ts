import type { Socket } from "node:net";

/** A RST. One that is being shut down cannot be reset (UV_EINVAL), and the runtime would never close it: once that is over. */
export function resetSocket(socket: Socket): void {
  const { writableEnded, writableFinished, writableLength, destroyed } = socket;
  if (writableEnded && !writableFinished && writableLength === 0 && !destroyed) setImmediate(resetSocket, socket);
  else socket.resetAndDestroy();
}
