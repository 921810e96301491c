import assert from "node:assert/strict";
import { createServer as createTcpServer } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { runCommand } from "../support/commands.js";
import { startFunctionNode } from "../support/function-node.js";
import { type Program, runProgram } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";
import { connectTlsClient } from "../support/tls-peers.js";

const authority = createAuthority();
const ca = authority.cert;
const first = authority.issue({ name: "first", dns: ["first.example"] });
const second = authority.issue({ name: "second", dns: ["second.example"] });
const localhost = authority.issue({ dns: ["localhost"], ips: ["127.0.0.1"] });
const GET = "GET /f HTTP/1.1\r\nHost: fn\r\n\r\n";
const LISTEN = ["--tls-listen", "127.0.0.1:0"];

/** The name of the certificate that a client is shown, and the status of its request. */
async function visit(t: TestContext, port: number, options: object = {}) {
  const client = await connectTlsClient(t, port, { ca, ...options });
  const { CN } = client.socket.getPeerCertificate().subject;
  const { status } = await client.ask(GET);
  client.destroy();
  return [CN, status];
}

/** Ends before it serves anything, with the code for a bad option, and says so in one line. */
async function refused(args: readonly string[], reason: RegExp) {
  const { code, stdout, stderr } = await runCommand(args);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /^usage error: [^\n]+\n$/);
  assert.match(stderr, reason);
  assert.doesNotMatch(stdout, /"event":"listening"/);
}

describe("fnlb --tls-listen", () => {
  async function start(t: TestContext, args: readonly string[], listen = LISTEN): Promise<[Program, number]> {
    const node = await startFunctionNode(t, { name: "a" });
    const program = runProgram(t, [...listen, "--nodes", node.address, ...args]);
    return [program, await program.port()];
  }

  it("serves TLS with a certificate and its key, and nothing in the clear beside it", async (t) => {
    const { certFile, keyFile } = certificateFiles(t).writePair("first", first);
    const [program, port] = await start(t, ["--tls-cert", certFile, "--tls-key", keyFile]);
    assert.deepEqual(await visit(t, port), ["first", 200]);
    assert.equal((await program.addresses()).length, 1);
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });

  it("takes several certificates, each with its key in its own file, and lets the client's name choose", async (t) => {
    const files = certificateFiles(t);
    const pems = [first, second].map(({ cert, key }, index) => files.write(`${index}.pem`, cert + key));
    const [, port] = await start(t, ["--tls-cert", pems[0], "--tls-cert", pems[1]]);
    assert.deepEqual(await visit(t, port), ["first", 200]);
    assert.deepEqual(await visit(t, port, { servername: "second.example" }), ["second", 200]);
  });

  it("asks for certificates of clients", async (t) => {
    const files = certificateFiles(t);
    const pem = files.write("first.pem", first.cert + first.key);
    const [, port] = await start(t, [
      ...["--tls-cert", pem, "--tls-client-ca", files.write("ca.crt", ca), "--tls-client-auth", "require"],
      ...["--tls-min-version", "1.3"],
    ]);
    const card = authority.issue({ name: "me", usage: "client" });
    assert.deepEqual(await visit(t, port, card), ["first", 200]);
    const bare = await connectTlsClient(t, port, { ca });
    bare.send(GET);
    await bare.log.untilEnd();
    assert.equal(bare.text, "");
    await assert.rejects(connectTlsClient(t, port, { ca, ...card, maxVersion: "TLSv1.2" }));
  });

  it("reads the PROXY protocol in front of TLS where that is asked for", async (t) => {
    const pem = certificateFiles(t).write("first.pem", first.cert + first.key);
    const args = ["--tls-cert", pem, "--trust-proxy", "127.0.0.1"];
    const [program] = await start(t, args, ["--proxy-tls-listen", "127.0.0.1:0"]);
    const [address] = await program.addresses();
    const { code, stderr } = await runCommand(["healthcheck", "--proxy-tls-listen", address, ...args]);
    assert.deepEqual([code, stderr], [0, ""]);
    // Without a header in front there is nothing to hear.
    const bare = await runCommand(["healthcheck", "--tls-listen", address, "--tls-cert", pem]);
    assert.equal(bare.code, 1);
  });

  it("starts with bad files under no circumstances: it names them, and serves nothing", async (t) => {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("first", first);
    const other = files.writePair("second", second);
    const free = await freePort();
    const start = (...args: string[]) => ["--listen", `127.0.0.1:${free}`, ...LISTEN, ...args];
    await refused(start("--tls-cert", "/nowhere.crt"), /file "\/nowhere\.crt" must be readable, got ENOENT/);
    await refused(start("--tls-cert", certFile), /first\.crt" must hold a PEM private key, got none/);
    await refused(
      start("--tls-cert", certFile, "--tls-key", other.keyFile),
      /second\.key" must hold the key of the first certificate in ".*first\.crt", got another key/,
    );
    await refused(start("--tls-cert", files.write("empty", ""), "--tls-key", keyFile), /empty" must hold a PEM cert/);
    await refused(start(), /option "tls-listen" must be given with --tls-cert/);
    await refused(["--tls-cert", certFile, "--tls-key", keyFile], /"tls-cert" must be left out without --tls-listen/);
    await refused(["--nodes", "https://a", "--node-tls-ca", "/nowhere.ca"], /file "\/nowhere\.ca" must be readable/);
    await refused(["--nodes", "a:443", "--node-tls-ca", certFile], /"node-tls-ca" must be left out where no node is/);
    await assert.rejects(connectClient(t, free), { code: "ECONNREFUSED" });
  });

  it("are found by fnlb check as well", async (t) => {
    await refused(["check", ...LISTEN, "--tls-cert", "/nowhere.crt"], /file "\/nowhere\.crt" must be readable/);
    const nodes = ["--nodes", "https://a", "--node-tls-ca", "/nowhere.ca"];
    await refused(["check", ...nodes], /file "\/nowhere\.ca" must be readable/);
    const pem = certificateFiles(t).write("first.pem", first.cert + first.key);
    const { code, stdout } = await runCommand(["check", ...LISTEN, "--tls-cert", pem]);
    assert.deepEqual([code, stdout], [0, "flags and environment: ok, 1 cluster, 1 route\n"]);
  });

  it("gives new certificates to new connections at SIGHUP, while an old one goes on", async (t) => {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("live", first);
    const [program, port] = await start(t, ["--tls-cert", certFile, "--tls-key", keyFile]);
    const old = await connectTlsClient(t, port, { ca });
    assert.equal((await old.ask(GET)).status, 200);
    files.writePair("live", second);
    program.signal("SIGHUP");
    assert.deepEqual((await program.event("certificates_reloaded")).files, [certFile]);
    assert.deepEqual(await visit(t, port), ["second", 200]);
    assert.equal((await old.ask(GET)).status, 200);
    assert.equal(old.socket.getPeerCertificate().subject.CN, "first");
  });

  it("keeps the old ones at SIGHUP when the new ones are bad, and says each time what is wrong", async (t) => {
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("live", first);
    const [program, port] = await start(t, ["--tls-cert", certFile, "--tls-key", keyFile]);
    files.write("live.key", second.key);
    for (let time = 0; time < 2; time++) {
      program.signal("SIGHUP");
      await program.event("logs_reopened");
      await program.stdout.until("the failures", () =>
        program.events.filter(({ event }) => event === "certificates_reload_failed").length > time ? true : undefined,
      );
      assert.deepEqual(await visit(t, port), ["first", 200]);
    }
    const failure = await program.event("certificates_reload_failed");
    assert.deepEqual(failure.files, [certFile]);
    assert.match(String(failure.reason), /live\.key" must hold the key of the first certificate/);
    files.write("live.crt", second.cert);
    program.signal("SIGHUP");
    await program.event("certificates_reloaded");
    assert.deepEqual(await visit(t, port), ["second", 200]);
  });

  it("takes over a config file with other certificates at SIGHUP", async (t) => {
    const files = certificateFiles(t);
    const pems = [first, second].map(({ cert, key }, index) => files.write(`${index}.pem`, cert + key));
    const config = (pem: string) => files.write("fnlb.yaml", `tls-listen: "127.0.0.1:0"\ntls-cert: ${pem}\n`);
    const [program, port] = await start(t, ["--config", config(pems[0])], []);
    assert.deepEqual(await visit(t, port), ["first", 200]);
    config("/nowhere.pem");
    program.signal("SIGHUP");
    const { code, msg } = await program.event("reload_failed");
    assert.deepEqual([code, msg], ["ERR_OPTION", 'file "/nowhere.pem" must be readable, got ENOENT']);
    assert.deepEqual(await visit(t, port), ["first", 200]);
    config(pems[1]);
    program.signal("SIGHUP");
    await program.event("reloaded");
    assert.deepEqual(await visit(t, port), ["second", 200]);
  });
});

describe("fnlb healthcheck", () => {
  it("asks a listener in TLS, whatever its certificate is for", async (t) => {
    const files = certificateFiles(t);
    const pem = files.write("first.pem", first.cert + first.key);
    const program = runProgram(t, [...LISTEN, "--tls-cert", pem, "--tls-min-version", "1.3"]);
    const [address] = await program.addresses();
    assert.deepEqual(await runCommand(["healthcheck", "--tls-listen", address, "--tls-cert", pem]), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    const { code, stderr } = await runCommand(["healthcheck", "--listen", address]);
    assert.equal(code, 1, "in the clear there is nobody");
    assert.match(stderr, /^unhealthy: [^\n]+\n$/);
  });

  it("says in one line that nobody speaks TLS there", async (t) => {
    const pem = certificateFiles(t).write("first.pem", first.cert + first.key);
    const [address] = await runProgram(t, ["--listen", "127.0.0.1:0"]).addresses();
    const { code, stderr } = await runCommand(["healthcheck", "--tls-listen", address, "--tls-cert", pem]);
    assert.equal(code, 1);
    assert.match(stderr, /^unhealthy: [^\n]+\n$/);
  });

  it("takes the first listener that does not require a certificate, and says so when there is none", async (t) => {
    const files = certificateFiles(t);
    const pem = files.write("first.pem", first.cert + first.key);
    const strict = ["--tls-cert", pem, "--tls-client-auth", "require", "--tls-client-ca", files.write("ca.crt", ca)];
    const socket = `unix:${files.write("socket", "").replace(/socket$/, "fnlb.sock")}`;
    const program = runProgram(t, [...LISTEN, "--listen", socket, ...strict]);
    const address = (await program.addresses(2)).find((one) => one !== socket) ?? "";
    const both = await runCommand(["healthcheck", "--tls-listen", address, "--listen", socket, ...strict]);
    assert.deepEqual([both.code, both.stderr], [0, ""]);
    const { code, stderr } = await runCommand(["healthcheck", "--tls-listen", address, ...strict]);
    assert.equal(code, 1);
    assert.match(stderr, /^unhealthy: every listener requires certificates of clients, [^\n]+\n$/);
  });
});

describe("fnlb --nodes https://", () => {
  async function ask(t: TestContext, args: readonly string[]) {
    const program = runProgram(t, ["--listen", "127.0.0.1:0", ...args]);
    const client = await connectClient(t, await program.port());
    return { program, client, response: await client.ask(GET) };
  }

  it("speaks TLS to nodes whose certificates an authority of ours has signed", async (t) => {
    const node = await startFunctionNode(t, { name: "a", tls: localhost });
    const caFile = certificateFiles(t).write("ca.crt", ca);
    const { response } = await ask(t, ["--nodes", `https://127.0.0.1:${node.port}`, "--node-tls-ca", caFile]);
    assert.equal(response.json().node, "a");
  });

  it("takes a node for dead whose certificate is for another name, and says why", async (t) => {
    const node = await startFunctionNode(t, { name: "a", tls: authority.issue({ dns: ["other.example"] }) });
    const nodes = ["--nodes", `https://127.0.0.1:${node.port}`];
    const trusted = ["--node-tls-ca", certificateFiles(t).write("ca.crt", ca)];
    const { program, response } = await ask(t, [...nodes, ...trusted]);
    assert.deepEqual([response.status, response.json().code], [502, "ERR_NO_FALLBACK_NODE_FOUND"]);
    const { node: id, code } = await program.event("node_dead");
    assert.deepEqual([id, code], [`https://127.0.0.1:${node.port}`, "ERR_TLS_CERT_ALTNAME_INVALID"]);
    assert.equal((await ask(t, [...nodes, ...trusted, "--node-tls-name", "other.example"])).response.status, 200);
  });

  it("takes one for dead that nobody we trust vouches for, unless it is not to be verified", async (t) => {
    const node = await startFunctionNode(t, { name: "a", tls: localhost });
    const nodes = ["--nodes", `https://127.0.0.1:${node.port}`];
    const { program, response } = await ask(t, nodes);
    assert.equal(response.status, 502);
    assert.equal((await program.event("node_dead")).code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert.equal((await ask(t, [...nodes, "--node-tls-verify=false"])).response.status, 200);
  });
});

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}
