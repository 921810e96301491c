import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { Agent, request } from "undici";
import { startFunctionNode } from "../support/function-node.js";
import { makeDirectory, runProgram } from "../support/program.js";

describe("listeners", () => {
  it("are several at once, TCP and unix, and the socket file goes with the process", async (t) => {
    const socketPath = `${makeDirectory(t)}/fnlb.sock`;
    const node = await startFunctionNode(t, { name: "a" });
    const program = runProgram(t, [
      ...["--listen", "127.0.0.1:0", "--listen", `unix:${socketPath}`, "--listen", "[::1]:0"],
      ...["--nodes", node.address],
    ]);
    const [first, second, third] = await program.addresses(3);
    assert.equal(second, `unix:${socketPath}`);
    assert.match(third, /^\[::1\]:[1-9]/);
    const agent = new Agent({ connect: { socketPath } });
    t.after(() => agent.close());
    for (const options of [
      { origin: `http://${first}` },
      { origin: "http://localhost", dispatcher: agent },
      { origin: `http://${third}` },
    ]) {
      const { statusCode, headers, body } = await request(`${options.origin}/x`, options);
      await body.dump();
      assert.deepEqual([statusCode, headers["x-node"]], [200, "a"]);
    }
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
    assert.equal(existsSync(socketPath), false);
  });

  it("take the place of a socket file that a killed process has left", async (t) => {
    const address = `unix:${makeDirectory(t)}/fnlb.sock`;
    const killed = runProgram(t, ["--listen", address]);
    await killed.addresses();
    killed.signal("SIGKILL");
    await killed.ended();
    assert.deepEqual(await runProgram(t, ["--listen", address]).addresses(), [address]);
  });

  it("are inherited as descriptors, as a service manager passes them", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    // No public name leads from a server to its descriptor.
    const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
    const program = runProgram(t, ["--listen", "fd@3", "--nodes", node.address], { descriptors: [fd] });
    assert.deepEqual(await program.addresses(), [`127.0.0.1:${port}`]);
    // This process no longer accepts: the connection is the program's to answer.
    await new Promise((resolve) => server.close(resolve));
    const response = await fetch(`http://127.0.0.1:${port}/x`);
    assert.equal(response.headers.get("x-node"), "a");
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });

  it("say so when a descriptor is not there", async (t) => {
    const program = runProgram(t, ["--listen", "fd@7"]);
    assert.equal(await program.ended(), 1);
    assert.match(program.stderr.text, /^could not start server\. error: [^\n]+\n$/);
  });
});
