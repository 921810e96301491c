import assert from "node:assert/strict";
import { connect } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { DialHandler, DialSecurity } from "../core/stream.js";
import { NodeSecurity } from "./node-security.js";
import { PlainStream } from "./plain-stream.js";

export interface TlsTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: DialSecurity;
}

/**
 * Dials with `tls.connect`, in both modes. Dialled is only who has finished the handshake and proved its name. The TCP
 * socket is one of its own below the TLS socket, because only such a one can be reset.
 */
export function tlsDial({ host, port, tls: security }: TlsTarget, handler: DialHandler): () => void {
  assert(security instanceof NodeSecurity, "security that was made elsewhere");
  const carrier = connect({ host, port, allowHalfOpen: true, autoSelectFamily: false });
  let socket: TLSSocket | undefined;
  let isOver = false;
  const close = () => {
    isOver = true;
    // One of them, from the top: the other closes with it, later. Both at once frees what OpenSSL may be reading from.
    (socket ?? carrier).destroy();
  };
  const fail = (code: string) => {
    if (isOver) return;
    close();
    security.forgetSession();
    handler.onDialFailed(code);
  };
  const onError = (error: NodeJS.ErrnoException) => fail(error.code ?? "EIO");
  carrier.on("error", onError);
  carrier.once("connect", () => {
    if (isOver) return;
    const options = security.options();
    const secured = connectTls({ ...options, socket: carrier });
    socket = secured;
    secured.on("error", onError);
    secured.on("close", () => fail("ECONNRESET"));
    secured.on("session", (ticket) => security.keepSession(ticket, options.secureContext));
    secured.once("secureConnect", () => {
      // The runtime says so from within OpenSSL's read: whatever is done with the stream is done outside of it.
      setImmediate(() => {
        if (isOver || secured.destroyed) return;
        isOver = true;
        handler.onDialed(new PlainStream(secured, carrier));
      });
    });
  });
  return () => {
    if (!isOver) close();
  };
}
