// A function node as a program: `node node-process-main.js NAME PORT BACKLOG`. It says who it is and what it was sent,
// with `?delay=MS` in the target after that time, with `?hold=NAME` never if that is its name, and with `?echo` it
// sends back what it is sent as it comes, as it does in every tunnel.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const [, , name, port, backlog] = process.argv;

const server = createServer((request, response) => {
  // Standard output is a pipe and written at once: what has been printed was read, whatever happens next.
  process.stdout.write(`seen ${request.method} ${request.url}\n`);
  if (/[?&]echo\b/.test(request.url ?? "")) {
    response.setHeader("x-node", name);
    response.flushHeaders();
    request.pipe(response);
    return;
  }
  let bodyBytes = 0;
  request.on("data", (chunk: Buffer) => {
    bodyBytes += chunk.length;
  });
  request.on("end", () => {
    if (/[?&]hold=([^&]+)/.exec(request.url ?? "")?.[1] === name) return;
    const answer = () => response.end(JSON.stringify({ node: name, target: request.url, bodyBytes }));
    const delay = /[?&]delay=(\d+)/.exec(request.url ?? "");
    response.setHeader("content-type", "application/json");
    if (delay === null) answer();
    else setTimeout(answer, Number(delay[1]));
  });
});
server.on("upgrade", (request, socket, head) => {
  process.stdout.write(`seen ${request.method} ${request.url}\n`);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Node: ${name}\r\n\r\n`,
  );
  socket.write(head);
  // Cut by the peer: nothing is left to say to it.
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
server.listen({ port: Number(port), host: "127.0.0.1", backlog: Number(backlog) }, () => {
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
});
