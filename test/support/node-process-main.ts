// A function node as a program: `node node-process-main.js NAME PORT BACKLOG`. `?delay=MS` in the target delays the answer.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const [, , name, port, backlog] = process.argv;

const server = createServer((request, response) => {
  // Standard output is a pipe and written at once: what has been printed was read, whatever happens next.
  process.stdout.write(`seen ${request.method} ${request.url}\n`);
  let bodyBytes = 0;
  request.on("data", (chunk: Buffer) => {
    bodyBytes += chunk.length;
  });
  request.on("end", () => {
    const answer = () => response.end(JSON.stringify({ node: name, target: request.url, bodyBytes }));
    const delay = /[?&]delay=(\d+)/.exec(request.url ?? "");
    response.setHeader("content-type", "application/json");
    if (delay === null) answer();
    else setTimeout(answer, Number(delay[1]));
  });
});
server.listen({ port: Number(port), host: "127.0.0.1", backlog: Number(backlog) }, () => {
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
});
