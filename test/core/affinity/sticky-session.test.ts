import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { codecList } from "../../../src/core/affinity/codec-list.js";
import { encryptedCodec } from "../../../src/core/affinity/encrypted-codec.js";
import { rawCodec } from "../../../src/core/affinity/raw-codec.js";
import { signedCodec } from "../../../src/core/affinity/signed-codec.js";
import { StickySession, type StickySessionOptions } from "../../../src/core/affinity/sticky-session.js";
import type { Node } from "../../../src/core/node.js";
import { FakeClock } from "../../support/fake-clock.js";
import { exchangeOf, nodesOf } from "../small-cluster.js";

const codec = signedCodec({ keys: ["a secret of more than 16 bytes"] });

function sticky(options: Partial<StickySessionOptions> = {}) {
  const members = nodesOf(["a:80", "b:80", "c:80"]);
  const session = new StickySession({ name: "fnlb", codec, ...options });
  const exchange = exchangeOf("/");
  const request = (cookieHeader?: string) => ({ cookieHeader, members, exchange });
  /** What a client sends once it has been given this node. */
  const cookieOf = (node: Node) => session.setCookie(request(), node)!.split(";")[0];
  return { members, session, exchange, request, cookieOf };
}

function never(): Node | undefined {
  throw new Error("picked anew");
}

describe("sticky session", () => {
  it("O13: picks and sets a cookie for a client without one", () => {
    const { members, session, request } = sticky();
    const picked = session.pick(request(), () => members[1]);
    assert.equal(picked?.node, members[1]);
    assert.equal(picked?.setCookie, `fnlb=${codec.encode(members[1])}; Path=/; HttpOnly; SameSite=Lax`);
  });

  it("O13: keeps a client with a valid cookie where it is, and sets none", () => {
    const { members, session, request, cookieOf } = sticky();
    for (const node of members) {
      const picked = session.pick(request(`a=1; ${cookieOf(node)}; b=2`), never);
      assert.deepEqual(picked, { node, setCookie: undefined });
    }
  });

  it("O13: picks anew, with a new cookie, for garbage and for a node that has left", () => {
    const { members, session, request, exchange, cookieOf } = sticky();
    const rest = members.slice(1);
    const gone = { cookieHeader: cookieOf(members[0]), members: rest, exchange };
    const requests = [gone, ...["fnlb=", "fnlb=garbage", "fnlb=http://a:80", 'fnlb="', "other=1", ""].map(request)];
    for (const each of requests) {
      const picked = session.pick(each, () => members[1]);
      assert.equal(picked?.node, members[1]);
      assert.equal(picked?.setCookie?.split(";")[0], cookieOf(members[1]));
    }
  });

  it("O13: picks anew, with a new cookie, for an expired one", () => {
    const clock = new FakeClock();
    const { members, session, request, cookieOf } = sticky({
      codec: encryptedCodec({ clock, randomBytes }, { keys: ["sixteen letters!"], ttlMs: 1000 }),
    });
    const header = cookieOf(members[0]);
    assert.equal(session.pick(request(header), never)?.setCookie, undefined);
    clock.pass(1000);
    const picked = session.pick(request(header), () => members[1]);
    assert.equal(picked?.node, members[1]);
    assert.match(picked?.setCookie ?? "", /^fnlb=[\w-]+; Path=/);
  });

  it("O13: gives no node and no cookie when there is none", () => {
    const { members, session, request, cookieOf, exchange } = sticky();
    assert.equal(
      session.pick(request(), () => undefined),
      undefined,
    );
    const empty = { cookieHeader: cookieOf(members[0]), members: [], exchange };
    assert.equal(
      session.pick(empty, () => undefined),
      undefined,
    );
  });

  it("leaves a dead node, a suspect one, a disabled one and one whose checks do not pass", () => {
    const changes = [
      { alive: false },
      { suspect: true },
      { mode: "disabled" },
      { check: "failing" },
      { check: "unknown" },
    ];
    for (const change of changes) {
      const { members, session, request, cookieOf } = sticky();
      const header = cookieOf(members[0]);
      Object.assign(members[0], change);
      const picked = session.pick(request(header), () => members[1]);
      assert.equal(picked?.node, members[1]);
      assert.equal(picked?.setCookie?.split(";")[0], cookieOf(members[1]));
    }
  });

  it("leaves a node within a retry: the request has tried it", () => {
    const { members, session, request, exchange, cookieOf } = sticky();
    const header = cookieOf(members[0]);
    assert.equal(session.find(request(header)), members[0]);
    exchange.tried.add(0);
    assert.equal(session.find(request(header)), undefined);
    assert.equal(session.pick(request(header), () => members[2])?.node, members[2]);
  });

  it("O3: keeps the clients of a draining node and of one of weight 0", () => {
    const { members, session, request, cookieOf } = sticky();
    members[0].mode = "draining";
    members[1].weight = 0;
    for (const node of [members[0], members[1]]) assert.equal(session.pick(request(cookieOf(node)), never)?.node, node);
  });

  it("asks another predicate if it gets one", () => {
    const { members, session, request, cookieOf } = sticky();
    members[0].inFlight = 5;
    const header = cookieOf(members[0]);
    assert.equal(
      session.find(request(header), (node) => node.inFlight < 5),
      undefined,
    );
    assert.equal(
      session.find(request(header), (node) => node.inFlight < 6),
      members[0],
    );
  });

  it("sets no cookie when the node that answered is the one that the cookie names, eligible or not", () => {
    const { members, session, request, cookieOf } = sticky();
    members[0].suspect = true;
    const header = cookieOf(members[0]);
    assert.equal(session.pick(request(header), () => members[0])?.setCookie, undefined);
  });

  it("takes the first of several cookies that names a node to stay on", () => {
    const { members, session, request, cookieOf } = sticky();
    const header = ["fnlb=garbage", cookieOf(members[0]), cookieOf(members[1])].join("; ");
    assert.equal(session.find(request(header)), members[0]);
    members[0].alive = false;
    assert.deepEqual(session.pick(request(header), never), { node: members[1], setCookie: undefined });
  });

  it("comes home when the node is back and nobody has answered since", () => {
    const { members, session, request, cookieOf } = sticky();
    const header = cookieOf(members[0]);
    members[0].alive = false;
    assert.equal(session.find(request(header)), undefined);
    members[0].alive = true;
    assert.equal(session.find(request(header)), members[0]);
  });

  it("follows a node whose place in the list has changed", () => {
    const { members, session, exchange, cookieOf } = sticky();
    const header = cookieOf(members[2]);
    const reordered = nodesOf(["c:80", "a:80"]);
    assert.equal(session.find({ cookieHeader: header, members: reordered, exchange }), reordered[0]);
  });

  it("writes a good cookie again when it is told to and the key is an old one, once", () => {
    const [older, newer] = ["the secret of the month before", "the secret of this month"];
    const before = sticky({ codec: signedCodec({ keys: [older] }) });
    const header = before.cookieOf(before.members[1]);
    const codec = signedCodec({ keys: [newer, older] });
    assert.equal(sticky({ codec }).session.pick(before.request(header), never)?.setCookie, undefined);
    const { session, request, members, cookieOf } = sticky({ codec, renews: true });
    const picked = session.pick(request(header), never);
    assert.equal(picked?.node, members[1]);
    assert.equal(picked?.setCookie?.split(";")[0], cookieOf(members[1]));
    assert.equal(session.pick(request(cookieOf(members[1])), never)?.setCookie, undefined);
  });

  it("renews cookies of an old format, and those past half of their time", () => {
    const clock = new FakeClock();
    const encrypted = encryptedCodec({ clock, randomBytes }, { keys: ["sixteen letters!"], ttlMs: 1000 });
    const { session, request, members } = sticky({ codec: codecList([encrypted, rawCodec()]), renews: true });
    const migrated = session.pick(request("fnlb=http://b:80"), never);
    assert.equal(migrated?.node, members[1]);
    const header = migrated?.setCookie?.split(";")[0];
    assert.match(header ?? "", /^fnlb=[\w-]+$/);
    clock.pass(499);
    assert.equal(session.pick(request(header), never)?.setCookie, undefined);
    clock.pass(1);
    const renewed = session.pick(request(header), never);
    assert.equal(renewed?.node, members[1]);
    assert.notEqual(renewed?.setCookie, undefined);
    const forEver = sticky({
      codec: encryptedCodec({ clock, randomBytes }, { keys: ["sixteen letters!"] }),
      renews: true,
    });
    assert.equal(forEver.session.pick(request(forEver.cookieOf(members[0])), never)?.setCookie, undefined);
  });

  it("renews nothing that its codec calls good for ever", () => {
    const { session, request, members } = sticky({ codec: rawCodec(), renews: true });
    assert.deepEqual(session.pick(request("fnlb=http://b:80"), never), { node: members[1], setCookie: undefined });
  });

  it("refuses names and attributes that cannot stand in a header", () => {
    for (const options of [{ name: "a b" }, { name: "" }, { path: "/\r\n" }, { domain: "a;b" }]) {
      assert.throws(() => sticky(options), { code: "ERR_OPTION" });
    }
  });

  it("does not let a codec write a second attribute or line", () => {
    for (const value of ["a; Domain=evil", "a\r\nSet-Cookie: b=c"]) {
      const { session, request, members } = sticky({ codec: { encode: () => value, decode: () => undefined } });
      assert.throws(() => session.setCookie(request(), members[0]), { code: "ERR_OPTION" });
    }
  });

  it("works with oxy's cookies", () => {
    const { members, session, request } = sticky({ codec: rawCodec() });
    assert.equal(session.find(request("fnlb=http://b:80")), members[1]);
    assert.equal(session.find(request('fnlb="http://b/"')), members[1]);
  });
});
