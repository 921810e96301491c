import { connect } from "node:net";

/**
 * Keeps a port of this machine at which nobody listens any more: a dial is refused as at any free port, but another test that
 * asks for some port does not get this one. Whoever listens there by its number may, and then lets go.
 */
export async function holdPort(port: number): Promise<() => void> {
  // A socket that is connected to itself takes a port without listening, and needs nobody else.
  const socket = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.1", localPort: port });
  await new Promise<void>((resolve) => {
    socket.once("connect", resolve);
    // Somebody else was faster: what the test dials next will tell.
    socket.once("error", () => resolve());
  });
  return () => void socket.destroy();
}
