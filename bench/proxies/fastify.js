// @fastify/http-proxy on its undici pool: `node fastify.js PORT …` prints where it listens.
import fastifyProxy from "@fastify/http-proxy";
import Fastify from "fastify";
import { pick } from "./pick.js";

const nodes = process.argv.slice(2).map((port) => `http://127.0.0.1:${port}`);
const app = Fastify({ keepAliveTimeout: 60_000 });
await app.register(fastifyProxy, {
  upstream: "",
  undici: { connections: 256, pipelining: 1, keepAliveTimeout: 60_000 },
  replyOptions: { getUpstream: (request) => pick(nodes, request.url) },
});
await app.listen({ port: 0, host: "127.0.0.1" });
console.log(`listening ${app.server.address().port}`);
