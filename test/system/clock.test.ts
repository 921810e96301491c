import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../src/system/clock.js";
import { eventually } from "../support/fake-clock.js";
import { freeze } from "../support/freeze.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

describe("the clock of the system", () => {
  it("rings behind what came while the process was frozen", async (t) => {
    const node = await startRawOrigin(t);
    const client = await connectClient(t, node.port);
    const peer = await node.accept();
    const order: string[] = [];
    client.socket.once("data", () => order.push("bytes"));
    peer.send("hello");
    systemClock.after(10, () => order.push("ring"));
    freeze(40);
    await eventually(() => order.length === 2);
    assert.deepEqual(order, ["bytes", "ring"]);
  });

  it("is silent once it was called off, until the very turn in which it would ring", async () => {
    let rang = 0;
    const callOff = systemClock.after(10, () => rang++);
    freeze(40);
    // Behind it in the turn of timers, ahead of what waits for the end of the turn.
    setTimeout(callOff, 1);
    freeze(10);
    let isOver = false;
    systemClock.after(1, () => {
      isOver = true;
    });
    await eventually(() => isOver);
    assert.equal(rang, 0);
  });
});
