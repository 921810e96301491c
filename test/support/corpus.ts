/** Messages of every kind, for the tests that read them in pieces. */

const POST = "POST /f HTTP/1.1\r\nHost: fn\r\n";
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n`;

/** What a client sends on one connection: one request, or several behind one another. */
export const REQUESTS: readonly (readonly [name: string, bytes: string])[] = [
  ["a plain GET", "GET / HTTP/1.1\r\nHost: fn\r\n\r\n"],
  ["a GET with fields", "GET /a/b?c=d HTTP/1.1\r\nhost:fn\r\nAccept: */*\r\nX:\r\nCookie: a=b\r\nCookie: \xff\r\n\r\n"],
  ["an empty line before it", "\r\nGET / HTTP/1.1\r\nHost: fn\r\n\r\n"],
  ["an absolute-form target", "GET http://fn/a?b HTTP/1.1\r\nHost: fn\r\nX: y\r\n\r\n"],
  ["an absolute-form target without a path", "GET http://fn:80?b HTTP/1.1\r\nHost: fn:80\r\n\r\n"],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n"],
  ["HEAD", "HEAD /h HTTP/1.1\r\nHost: fn\r\n\r\n"],
  ["an unknown method", "BREW /pot HTTP/1.1\r\nHost: fn\r\n\r\n"],
  ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\nX: y\r\n\r\n"],
  ["HTTP/1.0 that keeps its connection", "GET / HTTP/1.0\r\nHost: fn\r\nConnection: keep-alive\r\n\r\n"],
  ["HTTP/1.5", "GET / HTTP/1.5\r\nHost: fn\r\n\r\n"],
  ["a counted body", `${POST}Content-Length: 12\r\n\r\nhello\r\n\r\nyou`],
  ["a counted body with an odd length", `${POST}Content-Length: 005, 5\r\n\r\nhello`],
  ["an empty counted body", `${POST}Content-Length: 0\r\n\r\n`],
  ["a chunked body", `${CHUNKED}\r\n5\r\nhello\r\n001\r\n!\r\n0\r\n\r\n`],
  ["a chunked body with extensions", `${CHUNKED}\r\n5;a=b\r\nhello\r\n1;c\r\n!\r\n0;d="e"\r\n\r\n`],
  ["a chunked body with trailers", `${CHUNKED}\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nX-More: \r\n\r\n`],
  ["a chunked body with forbidden trailers only", `${CHUNKED}\r\n0\r\nContent-Length: 5\r\n\r\n`],
  ["an empty chunked body", `${CHUNKED}\r\n0\r\n\r\n`],
  [
    "hop-by-hop fields",
    "GET / HTTP/1.1\r\nConnection: a, close\r\nA: 1\r\nHost: fn\r\nTE: trailers\r\nKeep-Alive: x\r\n\r\n",
  ],
  [
    "forwarding fields",
    "GET / HTTP/1.1\r\nHost: fn\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: x\r\nX_Forwarded_For: y\r\n\r\n",
  ],
  ["an upgrade", "GET /ws HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
  [
    "an upgrade to h2c",
    "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
  ],
  ["an expectation", `${POST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`],
  [
    "three pipelined GETs",
    "GET /1 HTTP/1.1\r\nHost: fn\r\n\r\nGET /2 HTTP/1.1\r\nHost: fn\r\n\r\nGET /3 HTTP/1.1\r\nHost: fn\r\n\r\n",
  ],
  [
    "pipelined requests with bodies",
    `${POST}Content-Length: 3\r\n\r\nabc${CHUNKED}\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n\r\nGET /3 HTTP/1.1\r\nHost: fn\r\n\r\n`,
  ],
  ["a malformed request behind a good one", "GET /1 HTTP/1.1\r\nHost: fn\r\n\r\nGET /2 HTTP/1.1\r\nHost : fn\r\n\r\n"],
  ["no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n"],
  ["two framings", `${CHUNKED}Content-Length: 5\r\n\r\n0\r\n\r\n`],
  ["a coding that is not spoken", `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ["a bad chunk", `${CHUNKED}\r\n2\r\nok\r\n+1\r\nx\r\n0\r\n\r\n`],
  ["a bad trailer", `${CHUNKED}\r\n2\r\nok\r\n0\r\nX : y\r\n\r\n`],
  ["another version", "GET / HTTP/2.0\r\nHost: fn\r\n\r\n"],
  ["TRACE", "TRACE / HTTP/1.1\r\nHost: fn\r\n\r\n"],
];

const OK = "HTTP/1.1 200 OK\r\n";

/** What a node sends for one request before it closes. */
export const RESPONSES: readonly (readonly [name: string, bytes: string, method?: string])[] = [
  ["a counted body", `${OK}Content-Length: 12\r\n\r\nhello\r\n\r\nyou`],
  ["fields of all kinds", `${OK}set-cookie:a\r\nSet-Cookie: b\r\nX:\r\nY: \xff \r\nContent-Length: 2\r\n\r\nok`],
  ["no body", `${OK}Content-Length: 0\r\n\r\n`],
  ["an odd length", `${OK}Content-Length: 02\r\nX: y\r\nContent-Length: 2\r\n\r\nok`],
  ["a chunked body", `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n001\r\n!\r\n0\r\n\r\n`],
  ["chunks with extensions", `${OK}Transfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0;b=c\r\n\r\n`],
  ["trailers", `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a\r\nY: z\r\n\r\n`],
  ["a body until close", `${OK}X: y\r\n\r\nhello until the end\r\n\r\n`],
  ["version 1.0", "HTTP/1.0 200 Fine\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"],
  ["hop-by-hop fields", `${OK}Connection: x, close\r\nX: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok`],
  ["no reason", "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno"],
  ["204", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"],
  ["304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"],
  ["HEAD", `${OK}Content-Length: 5\r\n\r\n`, "HEAD"],
  ["HEAD of chunks", `${OK}Transfer-Encoding: chunked\r\n\r\n`, "HEAD"],
  ["100 before it", `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`],
  ["103 before it", `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`],
  ["a truncated body", `${OK}Content-Length: 5\r\n\r\nhell`],
  ["a truncated chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhell`],
  ["a malformed chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n`],
  ["two framings", `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["a blank before a colon", `${OK}Content-Length : 0\r\n\r\n`],
  ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
];
