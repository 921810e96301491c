// A tiny function node on port 8080: says who it is and what it was asked. `function-node.js check` asks it.
import { createServer } from "node:http";
import { hostname } from "node:os";

const PORT = Number(process.env.PORT ?? 8080);

if (process.argv[2] === "check") {
  const response = await fetch(`http://127.0.0.1:${PORT}/`).catch((error) => ({ ok: false, cause: error }));
  process.exit(response.ok ? 0 : 1);
}

let calls = 0;
const server = createServer((request, response) => {
  calls++;
  request.resume();
  request.on("end", () => {
    response.setHeader("x-node", hostname());
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.end(`${hostname()} ran ${request.method} ${request.url}, its call number ${calls}\n`);
  });
});
server.listen(PORT, () => process.stdout.write(`function node ${hostname()} listens on port ${PORT}\n`));

// As process 1 of a container it gets no default handling of signals.
process.on("SIGTERM", () => server.close(() => process.exit(0)));
process.on("SIGINT", () => process.exit(0));
