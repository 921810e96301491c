// http-proxy-3 as its documentation sets it up for keep-alive: `node http-proxy-3.js PORT …` prints where it listens.
import { Agent, createServer } from "node:http";
import httpProxy from "http-proxy-3";
import { pick } from "./pick.js";

const nodes = process.argv.slice(2).map((port) => `http://127.0.0.1:${port}`);
const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true, maxSockets: 256 }), xfwd: true });
proxy.on("error", (_error, _request, response) => response.writeHead?.(502).end());
const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) =>
  proxy.web(request, response, { target: pick(nodes, request.url) }),
);
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
