// A function node of `fnlb demo`: `node demo-node.js NAME PORT`. Ends with the process that started it.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const [, , name, port] = process.argv;
let calls = 0;

const server = createServer((request, response) => {
  request.resume();
  response.setHeader("x-node", name);
  if (request.method === "OPTIONS") {
    response.end();
    return;
  }
  calls++;
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(
    `hello from node ${name} (pid ${process.pid}), which has run ${calls} calls; this one was ${request.method} ${request.url}\n`,
  );
});
server.listen(Number(port), "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
// Ctrl-C reaches the whole group: the demo ends its nodes itself, when the balancer has finished.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));
