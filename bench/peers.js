// The proxies that are compared, each as one process: how to start it, and whether it can be.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROXY_CPU, start } from "./processes.js";

const START_MS = 10_000;
const root = fileURLToPath(new URL("..", import.meta.url));

/** A port of the loopback that was free a moment ago. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Runs a command pinned to the proxy's CPU and resolves to its process once `match` finds a port in what it prints. */
export function launch(command, args, { env = {}, match }) {
  const options = { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] };
  const child = start(PROXY_CPU, [command, ...args], options);
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => reject(new Error(`${command} did not start: ${output}`)), START_MS);
    const onOutput = (chunk) => {
      output += chunk;
      const port = match(output);
      if (port === undefined) return;
      clearTimeout(timer);
      resolve({ child, port });
    };
    child.stdout.on("data", onOutput);
    child.stderr.on("data", onOutput);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`${command} ended with ${code}: ${output}`));
    });
  });
}

/** Resolves once the port accepts. */
async function untilOpen(port) {
  for (const until = Date.now() + START_MS; Date.now() < until; ) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens at port ${port}`);
}

/** For servers that print nothing when they are ready. */
async function launchAt(port, command, args) {
  const child = start(PROXY_CPU, [command, ...args], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  await untilOpen(port);
  return { child, port };
}

function version(command, args, pattern) {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (error !== undefined) return undefined;
  return pattern.exec(stdout + stderr)?.[1] ?? "unknown version";
}

const fnlb = (env) => (nodes) =>
  launch(
    process.execPath,
    ["bin/fnlb.js", "--listen", "127.0.0.1:0", "--nodes", nodes.map((port) => `127.0.0.1:${port}`).join()],
    {
      env,
      match: (output) => /listening to 127\.0\.0\.1:(\d+)/.exec(output)?.[1],
    },
  );

const nodeProxy = (file) => (nodes) =>
  launch(process.execPath, [join("bench", "proxies", file), ...nodes.map(String)], {
    match: (output) => /^listening (\d+)$/m.exec(output)?.[1],
  });

/** What the manuals offer against bad nodes, as far as it goes with consistent hashing. */
const TUNED_NGINX = {
  server: "max_fails=1 fail_timeout=5s",
  location: `proxy_connect_timeout 1s; proxy_read_timeout 2s; proxy_send_timeout 2s;
      proxy_next_upstream error timeout http_502 http_504; proxy_next_upstream_tries 3;`,
};
const TUNED_HAPROXY = {
  defaults: `  option redispatch 1
  retries 3
  retry-on conn-failure empty-response response-timeout
  timeout connect 1s
  timeout server 2s`,
  backend: `  hash-balance-factor 150
  option httpchk
  http-check send meth GET uri /16 ver HTTP/1.1 hdr Host check
  timeout check 500ms
  default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions`,
};

const nginx = (tuning) => async (nodes, folder) => {
  const port = await freePort();
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; use epoll; }
http {
  access_log off; keepalive_requests 100000000; tcp_nodelay on;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  upstream nodes { hash $uri consistent; ${nodes.map((node) => `server 127.0.0.1:${node} ${tuning.server};`).join(" ")} keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://nodes; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_max_temp_file_size 0;
      ${tuning.location}
    }
  }
}
`,
  );
  return launchAt(port, "nginx", ["-c", file, "-p", folder, "-e", "stderr"]);
};

const haproxy = (tuning) => async (nodes, folder) => {
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 2s
  timeout client 60s
  timeout server 60s
${tuning.defaults}
frontend clients
  bind 127.0.0.1:${port}
  default_backend nodes
backend nodes
  balance uri
  hash-type consistent
${tuning.backend}
${nodes.map((node, index) => `  server n${index} 127.0.0.1:${node}`).join("\n")}
`,
  );
  return launchAt(port, "haproxy", ["-db", "-f", file]);
};

const UNTUNED = { server: "", location: "", defaults: "", backend: "" };
const nginxVersion = () => version("nginx", ["-v"], /nginx\/(\S+)/);
const haproxyVersion = () => version("haproxy", ["-v"], /version (\S+)/);

/** In the order of the report. `kind` says what it is compared as. */
export const PEERS = [
  { name: "fnlb", kind: "ours", start: fnlb({ FNLB_SOCKETS: "fast" }), version: () => "this commit" },
  {
    name: "fnlb-plain",
    kind: "ours",
    start: fnlb({ FNLB_SOCKETS: "plain" }),
    version: () => "this commit, FNLB_SOCKETS=plain",
  },
  { name: "nginx", kind: "native", start: nginx(UNTUNED), version: nginxVersion },
  { name: "haproxy", kind: "native", start: haproxy(UNTUNED), version: haproxyVersion },
  {
    name: "http-proxy-3",
    kind: "node",
    start: nodeProxy("http-proxy-3.js"),
    version: () => packageVersion("http-proxy-3"),
  },
  {
    name: "@fastify/http-proxy",
    kind: "node",
    start: nodeProxy("fastify.js"),
    version: () => packageVersion("@fastify/http-proxy"),
  },
];

/** Those of them that can be told more about bad nodes, and have been. */
export const TUNED_PEERS = [
  { name: "nginx-tuned", kind: "native", start: nginx(TUNED_NGINX), version: nginxVersion },
  { name: "haproxy-tuned", kind: "native", start: haproxy(TUNED_HAPROXY), version: haproxyVersion },
];

function packageVersion(name) {
  const lock = spawnSync("npm", ["ls", name, "--json", "--depth=0"], { cwd: root, encoding: "utf8" });
  return JSON.parse(lock.stdout || "{}").dependencies?.[name]?.version;
}
