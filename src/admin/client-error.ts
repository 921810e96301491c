import { STATUS_CODES } from "node:http";
import { HTTP_STATUS } from "../errors.js";
import { PROBLEM_TYPE, problemAnswer } from "./admin-problem.js";

/** What is said to a client whose bytes are no request, or did not come in time, by the runtime's code for it; "CONNECT" is ours. */
export function clientErrorResponse(code: string | undefined): string {
  const [name, detail] = faultOf(code);
  const status = HTTP_STATUS[name];
  const body = String(problemAnswer(name, detail).body);
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${PROBLEM_TYPE}\r\nCache-Control: no-store\r\n` +
    `X-Content-Type-Options: nosniff\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  );
}

function faultOf(code: string | undefined) {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return ["ERR_HEAD_TOO_LARGE", "the request head is larger than allowed"] as const;
    case "CONNECT":
      return ["ERR_METHOD", "nothing is tunnelled here"] as const;
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return ["ERR_REQUEST_TIMEOUT", "the request did not arrive in time"] as const;
    default:
      return ["ERR_BAD_REQUEST", "the request is malformed"] as const;
  }
}
