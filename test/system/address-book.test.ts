import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LogFields } from "../../src/core/log.js";
import { createNode } from "../../src/core/node.js";
import { AddressBook } from "../../src/system/address-book.js";
import { FakeClock, turns } from "../support/fake-clock.js";

describe("the address book", () => {
  it("says nothing of a node that has left before its name turned out to be unknown", async () => {
    const events: unknown[] = [];
    const record = ({ event }: LogFields) => void events.push(event);
    const log = { debug: record, info: record, warn: record, error: record };
    const answers: (() => void)[] = [];
    const resolve = () =>
      new Promise<readonly string[]>((_, reject) => answers.push(() => reject(new Error("unknown"))));
    const nodes = ["stays", "leaves"].map((host, index) =>
      createNode(`${host}:80`, index, { kind: "tcp", host, port: 80, basePath: "" }, 1),
    );
    const clock = new FakeClock();
    const book = new AddressBook({ clock, log, resolve }, { resolveIntervalMs: 0 }, nodes);
    const opened = book.open(new AbortController().signal);
    book.update(nodes.slice(0, 1));
    for (const answer of answers) answer();
    await opened;
    await turns(1);
    assert.deepEqual(events, ["node_name_unresolved"]);
    assert.equal(clock.pending, 0);
  });
});
