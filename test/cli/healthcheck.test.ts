import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { describe, it } from "node:test";
import { createAuthority } from "../support/certificates.js";
import { runCommand } from "../support/commands.js";
import { makeDirectory, runProgram, runToEnd } from "../support/program.js";

async function unhealthy(listen: string, reason: RegExp) {
  const { code, stderr } = await runCommand(["healthcheck", "--listen", listen]);
  assert.equal(code, 1);
  assert.match(stderr, /^unhealthy: [^\n]+\n$/);
  assert.match(stderr, reason);
}

describe("fnlb healthcheck", () => {
  it("is content with a balancer that listens, even when no node lives", async (t) => {
    const socket = `unix:${makeDirectory(t)}/fnlb.sock`;
    const program = runProgram(t, ["--listen", "0.0.0.0:0", "--listen", socket, "--nodes", "127.0.0.1:1"]);
    const [address] = await program.addresses(2);
    for (const listen of [address, address.replace("0.0.0.0", ""), socket])
      assert.deepEqual(await runCommand(["healthcheck", "--listen", listen]), { code: 0, stdout: "", stderr: "" });
  });

  it("takes its address from the environment, as in a container", async (t) => {
    const program = runProgram(t, ["--listen", "127.0.0.1:0"]);
    const [address] = await program.addresses();
    // As a process, as in a container.
    const { code } = await runToEnd(t, ["healthcheck"], { env: { FNLB_LISTEN: address } });
    assert.equal(code, 0);
  });

  it("speaks the PROXY protocol where that is what is listened for", async (t) => {
    const program = runProgram(t, ["--proxy-listen", "127.0.0.1:0", "--trust-proxy", "127.0.0.1"]);
    const [address] = await program.addresses();
    const { code, stderr } = await runCommand(["healthcheck", "--proxy-listen", address]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });

  it("says why in one line when it is not", async (t) => {
    const directory = makeDirectory(t);
    await unhealthy(`unix:${directory}/none.sock`, /ENOENT/);
    const closed = createTcpServer((socket) => socket.destroy());
    const angry = createServer((_request, response) => response.writeHead(503).end());
    for (const server of [closed, angry]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      t.after(() => server.close());
    }
    await unhealthy(`127.0.0.1:${(closed.address() as AddressInfo).port}`, /closed|ECONNRESET/);
    await unhealthy(`127.0.0.1:${(angry.address() as AddressInfo).port}`, /503/);
    closed.close();
    await unhealthy(":0", /--listen/);
  });
});

describe("fnlb healthcheck with an admin listener", () => {
  it("is content while some node lives, and says what is wrong when none does", async (t) => {
    const admin = `unix:${makeDirectory(t)}/admin.sock`;
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", "127.0.0.1:1", "--admin", admin]);
    const port = await program.port();
    // The first listener is not asked, where nobody is.
    const check = () => runCommand(["healthcheck", "--admin", admin, "--listen", "127.0.0.1:1"]);
    assert.deepEqual(await check(), { code: 0, stdout: "", stderr: "" });
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 502);
    assert.deepEqual(await check(), {
      code: 1,
      stdout: "",
      stderr: "unhealthy: HTTP/1.1 503 Service Unavailable, no-node-alive\n",
    });
  });

  it("speaks TLS where that listener does, and needs no certificate", async (t) => {
    const authority = createAuthority();
    const directory = makeDirectory(t);
    const { cert, key } = authority.issue({ dns: ["lb.example.com"] });
    writeFileSync(`${directory}/cert.pem`, cert + key);
    writeFileSync(`${directory}/ca.pem`, authority.cert);
    const options = [
      ...["--admin", `unix:${directory}/admin.sock`, "--admin-tls-cert", `${directory}/cert.pem`],
      ...["--admin-client-ca", `${directory}/ca.pem`],
    ];
    await runProgram(t, ["--listen", "127.0.0.1:0", ...options]).addresses();
    assert.deepEqual(await runCommand(["healthcheck", ...options]), { code: 0, stdout: "", stderr: "" });
  });
});
