import type { IncomingMessage } from "node:http";
import { FnlbError } from "../errors.js";
import { RequestError } from "./admin-problem.js";
import type { SchemaFields } from "./schema.js";
import { schemaFault } from "./schema-fault.js";

/** The largest body that is read, in bytes. */
export const BODY_BYTES_MAX = 64 * 1024;

const STRICT = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads a JSON body that a schema accepts, or makes sure that there is none where there is no schema. Rejects with
 * `ERR_MEDIA_TYPE`, `ERR_BODY_TOO_LARGE` or `ERR_BAD_REQUEST`.
 */
export async function readBody(request: IncomingMessage, schema: SchemaFields | undefined): Promise<unknown> {
  const { headers } = request;
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (schema === undefined) {
    if (hasBody) throw new RequestError("there must be no body here", { pointer: "" });
    return undefined;
  }
  // Forms of other sites' pages cannot send this type without asking first.
  if (!/^application\/json\s*(?:;|$)/i.test(headers["content-type"] ?? "")) {
    throw new FnlbError("ERR_MEDIA_TYPE", "the body must be application/json");
  }
  if (headers["content-encoding"] !== undefined) {
    throw new FnlbError("ERR_MEDIA_TYPE", "the body must not be compressed");
  }
  const value = parse(await bytesOf(request));
  const fault = schemaFault(schema, value);
  if (fault === undefined) return value;
  const { pointer, detail } = fault;
  throw new RequestError(`${pointer === "" ? "the body" : pointer} ${detail}`, { pointer });
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = new FnlbError("ERR_BODY_TOO_LARGE", `the body must have at most ${BODY_BYTES_MAX} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > BODY_BYTES_MAX) throw tooLarge;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length <= BODY_BYTES_MAX) return;
      request.off("data", onData);
      reject(tooLarge);
    };
    request.on("data", onData);
    request.once("end", () => resolve(Buffer.concat(chunks)));
    // Nobody is left to be answered.
    request.once("close", () => reject(new RequestError("the body was cut short")));
  });
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(STRICT.decode(bytes));
  } catch (error) {
    const reason = error instanceof SyntaxError ? "JSON" : "UTF-8";
    throw new RequestError(`the body must be ${reason}`, { pointer: "" });
  }
}
