import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { openPage, startChromium, takePicture, WITHOUT_CHROMIUM } from "../support/chromium.js";
import {
  type AskedOfStub,
  type StubAnswer,
  startPageStub,
  stubHistory,
  stubNode,
  stubSample,
  stubStatus,
} from "../support/page-stub.js";

/** Scripts of the page are texts: these tests are compiled without the types of a document. */
const FOCUSED = "document.activeElement";
const row = (page: Page, id: string) => page.locator("tbody tr", { hasText: id });
/** What stands out at the right of the page, but for what scrolls by itself. */
const overflow = (page: Page) =>
  page.evaluate<string[]>(`document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
    [...document.querySelectorAll("body *")]
      .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth)
      .map((element) => element.outerHTML.slice(0, 80))
      .concat("it is " + document.documentElement.scrollWidth + " wide")`);
const isEdit = ({ method }: AskedOfStub) => method !== "GET";

/** The history, and nothing else. */
function historyOnly({ path }: AskedOfStub): StubAnswer | undefined {
  return path.startsWith("/v1/history") ? { status: 200, body: stubHistory(1) } : undefined;
}

/** An answer that waits until a test lets it go. */
function held(): { readonly answer: Promise<StubAnswer>; readonly letGo: (answer: StubAnswer) => void } {
  let letGo: (answer: StubAnswer) => void = () => {};
  const answer = new Promise<StubAnswer>((resolve) => {
    letGo = resolve;
  });
  return { answer, letGo };
}

describe("the page of the dashboard", { skip: WITHOUT_CHROMIUM }, () => {
  let browser: Browser;

  before(async () => {
    browser = await startChromium();
  });
  after(() => browser.close());

  it("takes names for names: markup, quotes, letters that turn the line, and two thousand of them", async (t) => {
    const names = [
      "<img src=x onerror=\"globalThis.hacked='img'\">",
      "\"'><script>globalThis.hacked='script'</script>",
      "10.0.0.1\u202e0808:9.0.0.01",
      "x".repeat(2048),
    ];
    const clusters = ["a", "<b onclick=hacked>"];
    const stub = await startPageStub(t, (asked) => {
      if (!asked.path.startsWith("/v1/explain")) return historyOnly(asked);
      const order = names.map((id) => ({ id, states: ["serving"], isEligible: true, reasons: [] }));
      const place = { route: names[0], cluster: "a", policy: "random", key: names[1] };
      return { status: 200, body: { source: "live", ...place, isFixed: true, node: names[3], order, notes: names } };
    });
    stub.send("status", stubStatus(clusters.flatMap((cluster) => names.map((id) => stubNode(id, { cluster })))));
    const { page, complaints } = await openPage(t, browser, stub.url);
    await page.locator("tbody tr").nth(3).waitFor();
    assert.deepEqual(await page.locator("tbody tr .id").allTextContents(), [
      names[0],
      names[1],
      "10.0.0.1\\u202e0808:9.0.0.01",
      names[3],
    ]);
    await page.getByLabel("URL or path").fill("/");
    await page.getByRole("button", { name: "Find" }).click();
    await page.locator("#found .lands").waitFor();
    for (const width of [1440, 768, 360]) {
      await page.setViewportSize({ width, height: 800 });
      assert.deepEqual(await overflow(page), [], `${width}`);
      for (const { open, dialog } of [
        { open: row(page, names[3]).getByText("Manage"), dialog: page.locator("#node-dialog") },
        { open: page.getByRole("button", { name: "Add node" }), dialog: page.locator("#add-dialog") },
      ]) {
        await open.click();
        await dialog.waitFor();
        const [inner, outer] = await page.evaluate<number[]>(
          "(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth])(document.querySelector('dialog[open]'))",
        );
        assert.ok(inner <= outer, `${width}: ${inner} in ${outer}`);
        await page.keyboard.press("Escape");
      }
    }
    await takePicture(page, "hostile");
    assert.equal(await page.evaluate("typeof globalThis.hacked"), "undefined");
    assert.equal(await page.locator("img").count(), 1, "that of the head");
    assert.equal(await page.locator("main script, main b").count(), 0);
    assert.deepEqual(complaints, []);
  });

  it("sends an edit once however often it is pressed, and takes it back when asked to", async (t) => {
    const answers = [held(), held()];
    let next = 0;
    const stub = await startPageStub(t, (asked) => (isEdit(asked) ? answers[next++].answer : historyOnly(asked)));
    stub.send("status", stubStatus([stubNode("n1", { inFlight: 3 }), stubNode("n2")]));
    const { page } = await openPage(t, browser, stub.url);
    const drain = page.getByRole("button", { name: "Drain n1" });
    for (let press = 0; press < 3; press++) await drain.click();
    assert.equal(await drain.getAttribute("aria-busy"), "true");
    const node = stubNode("n1", { mode: "draining", states: ["draining"], inFlight: 3 });
    answers[0].letGo({ status: 200, body: { result: "applied", node } });
    const message = page.locator("#message");
    await message.getByText("n1 is draining: no new keys come to it, 3 in flight go on.").waitFor();
    assert.equal(await drain.getAttribute("aria-busy"), null);
    answers[1].letGo({ status: 200, body: { result: "applied", node: stubNode("n1") } });
    await message.getByRole("button", { name: "Undo" }).click();
    await message.getByText("n1 is active again.").waitFor();
    assert.deepEqual(stub.asked.filter(isEdit), [
      { method: "PATCH", path: "/v1/clusters/a/nodes/n1", body: { mode: "draining" } },
      { method: "PATCH", path: "/v1/clusters/a/nodes/n1", body: { mode: "active" } },
    ]);
  });

  it("says in the dialog why an edit was refused, and that it was made", async (t) => {
    const refusals = [
      { status: 503, body: { code: "ERR_STORE", detail: "the store that replicas share is down" } },
      { status: 404, body: { code: "ERR_NOT_FOUND", detail: 'cluster "a" has no node "n1"' } },
      { status: 409, body: { code: "ERR_CONFLICT", detail: "somebody else was faster" } },
    ];
    let answer: StubAnswer = refusals[0];
    const stub = await startPageStub(t, (asked) => (isEdit(asked) ? answer : historyOnly(asked)));
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2")]));
    const { page } = await openPage(t, browser, stub.url);
    await page.getByRole("button", { name: "Manage n1" }).click();
    const dialog = page.getByRole("dialog", { name: "n1" });
    for (const refusal of refusals) {
      answer = refusal;
      await dialog.getByLabel("Weight").fill("2");
      await dialog.getByRole("button", { name: "Apply" }).click();
      await dialog.getByRole("alert").getByText(`Not changed: ${refusal.body.detail}.`).waitFor();
    }
    answer = { status: 200, body: { result: "unchanged" } };
    await dialog.getByRole("button", { name: "Mark alive" }).click();
    await dialog.getByRole("status").getByText("n1: nothing to change.").waitFor();
    assert.equal(await dialog.getByRole("alert").count(), 0, "what was wrong before is not said any more");
  });

  it("asks before nobody serves, before disabling and before removing, and says what runs", async (t) => {
    const stub = await startPageStub(t, (asked) =>
      isEdit(asked) ? { status: 200, body: { result: "applied" } } : historyOnly(asked),
    );
    stub.send(
      "status",
      stubStatus([stubNode("n1", { inFlight: 7 }), stubNode("n2", { states: ["dead"], inFlight: 0 })]),
    );
    const { page } = await openPage(t, browser, stub.url);
    await page.getByRole("button", { name: "Drain n1" }).click();
    const dialog = page.getByRole("dialog", { name: "n1" });
    await dialog.getByText("7 in flight on it go on to their end. No other node of a serves now").waitFor();
    assert.equal(await page.evaluate(`${FOCUSED}.textContent`), "No");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(`${FOCUSED}.textContent`), "Apply", "the focus is back at what asked");
    await dialog.getByLabel("Disabled").check();
    await dialog.getByRole("button", { name: "Apply" }).click();
    await dialog.getByRole("button", { name: "Yes, disable it" }).waitFor();
    await takePicture(page, "confirm");
    await dialog.getByRole("button", { name: "Remove node" }).click();
    await dialog.getByText("n1 leaves a, on every replica that shares the store.").waitFor();
    assert.deepEqual(stub.asked.filter(isEdit), []);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.equal(await page.evaluate(`${FOCUSED}.ariaLabel`), "Drain n1");
    await page.getByRole("button", { name: "Manage n2" }).click();
    await page.getByLabel("Disabled").check();
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("Nothing is in flight on it.").waitFor();
    await page.getByRole("button", { name: "Yes, disable it" }).click();
    await page.locator("#message").getByText("n2 is disabled now.").waitFor();
    assert.deepEqual(stub.asked.filter(isEdit), [
      { method: "PATCH", path: "/v1/clusters/a/nodes/n2", body: { mode: "disabled" } },
    ]);
  });

  it("closes the dialog of a node that leaves, and the tab of a cluster, and says so", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2"), stubNode("n3", { cluster: "b" })]));
    const { page, complaints } = await openPage(t, browser, `${stub.url}#b`);
    await page.getByRole("button", { name: "Manage n3" }).click();
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2")]));
    await page.getByText("n3 has left b.").waitFor();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await row(page, "n1").waitFor();
    assert.equal(await page.getByRole("tablist").count(), 0);
    assert.match(page.url(), /#a$/);
    assert.deepEqual(complaints, []);
  });

  it("asks for the token when the one that it has is no longer taken, and refuses what can be none", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus([stubNode("n1")]));
    // An address that is not even encoded is no reason to show nothing.
    const { page } = await openPage(t, browser, `${stub.url}#%`);
    await row(page, "n1").waitFor();
    stub.cut(401);
    const dialog = page.getByRole("dialog", { name: "Token needed" });
    await dialog.waitFor();
    await dialog.getByLabel("Token", { exact: true }).fill("“pasted from a letter”");
    await page.keyboard.press("Enter");
    await dialog.getByRole("alert").getByText("A token has no blanks and no letters beyond ASCII.").waitFor();
    stub.cut(200);
    await dialog.getByLabel("Token", { exact: true }).fill("  right-with-blanks-around  ");
    await page.keyboard.press("Enter");
    await page.locator("#link").getByText("Live").waitFor();
    assert.deepEqual(await page.evaluate("Object.values({ ...sessionStorage })"), ["right-with-blanks-around"]);
  });

  it("leaves out samples that it missed, and asks for the history again only after many", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    const histories = () => stub.asked.filter(({ path }) => path.startsWith("/v1/history")).length;
    stub.send("status", stubStatus([stubNode("n1")]));
    const { page } = await openPage(t, browser, stub.url);
    const rate = page.locator("#rate");
    await row(page, "n1").waitFor();
    await page.locator("#rate-plot svg[aria-label$='nothing known yet']").waitFor({ state: "attached" });
    const before = histories();
    stub.send("sample", stubSample(2, 10));
    await rate.getByText("10", { exact: true }).waitFor();
    stub.send("sample", stubSample(6, 20));
    await rate.getByText("20", { exact: true }).waitFor();
    const pieces = (await page.locator("#rate-plot path:not(.base):not(.area)").getAttribute("d"))?.split("M").length;
    assert.equal(pieces, 3, "two pieces with a gap between them");
    assert.equal(histories(), before);
    stub.send("sample", stubSample(60, 30));
    await rate.getByText("–", { exact: true }).waitFor();
    assert.equal(histories(), before + 1);
  });

  it("says times by the clock of the balancer, and reads out nothing that stays the same", async (t) => {
    const explained = { source: "live", cluster: "a", policy: "random", isFixed: false, order: [], notes: [] };
    const stub = await startPageStub(t, (asked) =>
      asked.path.startsWith("/v1/explain") ? { status: 200, body: explained } : historyOnly(asked),
    );
    const at = { atMs: Date.UTC(2001, 1, 3, 4, 5, 6) };
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2")], at));
    const { page } = await openPage(t, browser, stub.url, { timezoneId: "UTC" });
    await row(page, "n1").waitFor();
    await page.getByLabel("URL or path").fill("/");
    await page.keyboard.press("Enter");
    await page.locator("#found dl").waitFor();
    await page.evaluate(`
      said = 0;
      for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]"))
        new MutationObserver((records) => { said += records.length; })
          .observe(region, { childList: true, subtree: true, characterData: true });
    `);
    stub.send("status", stubStatus([stubNode("n1", { inFlight: 3 }), stubNode("n2")], at));
    await row(page, "n1").locator(".in-flight").getByText("3").waitFor();
    assert.equal(await page.evaluate("said"), 0);
    const explains = () => stub.asked.filter(({ path }) => path.startsWith("/v1/explain")).length;
    const asked = explains();
    stub.send("status", stubStatus([stubNode("n1", { states: ["dead"] }), stubNode("n2")], at));
    const change = page.locator("#changes li", { hasText: "n1" });
    assert.equal(await change.textContent(), "04:05:06 n1Serving → Dead");
    while (explains() === asked) await page.evaluate("new Promise(requestAnimationFrame)");
    assert.equal(await page.evaluate("said"), 1, "the change, and no answer that is the same");
  });

  it("counts what is wrong above the nodes, shows only those, and says it at the top and in the title", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    const nodes = [
      stubNode("n1"),
      stubNode("n2", { states: ["dead", "draining"], mode: "draining" }),
      stubNode("n3", { states: ["draining"], mode: "draining" }),
      stubNode("n4", { cluster: "b", states: ["dead"] }),
    ];
    const listeners = [
      { id: "x", state: "open" },
      { id: "y", state: "paused" },
    ];
    const clusters = stubStatus(nodes).clusters.map((cluster) => ({
      ...cluster,
      discovery: { source: "dns:fn", trouble: cluster.name === "b" ? "A fn: ESERVFAIL" : null },
    }));
    stub.send("status", stubStatus(nodes, { listeners, clusters }));
    const { page } = await openPage(t, browser, stub.url);
    const troubles = page.getByRole("group", { name: "Show only nodes that are" });
    await row(page, "n1").waitFor();
    assert.deepEqual(await troubles.getByRole("button").allTextContents(), ["Dead1", "Draining2"]);
    await troubles.getByRole("button", { name: "Draining" }).click();
    assert.deepEqual(await page.locator("tbody tr:visible .id").allTextContents(), ["n2", "n3"]);
    assert.equal(await troubles.getByRole("button", { pressed: true }).textContent(), "Draining2");
    const note = page.locator("#state-note");
    assert.equal(
      await note.textContent(),
      "nobody serves b\n1 of 2 listeners paused\nnodes of b: A fn: ESERVFAIL\n1 of 4 nodes serving",
    );
    assert.equal(await page.title(), "2 down · fnlb");
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2")], { listeners }));
    await page.getByText("No node is called so, or in such a state now.").waitFor();
    assert.equal(await page.evaluate(`${FOCUSED}.textContent`), "Draining0", "the way back is where it was");
    await page.keyboard.press("Enter");
    await row(page, "n2").waitFor();
    assert.equal(await troubles.getByRole("button").count(), 0);
  });

  it("keeps two hundred rows in place while they change", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    const nodes = Array.from({ length: 200 }, (_, index) => stubNode(`10.0.0.${index}:8080`));
    stub.send("status", stubStatus(nodes));
    const { page, complaints } = await openPage(t, browser, stub.url);
    await page.locator("tbody tr").nth(199).waitFor();
    await page.evaluate(`
      moved = 0;
      new MutationObserver((records) => { moved += records.length; }).observe(document.querySelector("#rows"), { childList: true });
    `);
    stub.send(
      "sample",
      stubSample(
        2,
        10,
        nodes.map(({ id }) => id),
      ),
    );
    await page.locator("tbody .rate-plot path[d*='h.5']").nth(199).waitFor({ state: "attached" });
    const { id } = nodes[99];
    stub.send("status", stubStatus(nodes.with(99, stubNode(id, { mode: "disabled", states: ["disabled"] }))));
    await row(page, id).getByText("Disabled").waitFor();
    assert.equal(await page.evaluate("moved"), 0);
    const glides = await page.evaluate("getComputedStyle(document.querySelector('.bar span')).transitionDuration");
    assert.equal(glides, "0s", "hundreds of bars that glide cost more than all else");
    const filter = page.getByLabel("Filter nodes by name or state");
    await filter.fill("disabled");
    await row(page, nodes[0].id).waitFor({ state: "hidden" });
    assert.equal(await page.locator("tbody tr:visible").count(), 1);
    await filter.fill("");
    await takePicture(page, "two-hundred-nodes");
    assert.deepEqual(complaints, []);
  });

  it("is laid out for twice the size of text that somebody has told the browser to show", async (t) => {
    const large = await startChromium("--blink-settings=defaultFontSize=32");
    t.after(() => large.close());
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus([stubNode("10.0.0.1:8080"), stubNode("10.0.0.2:8080", { states: ["dead"] })]));
    const { page } = await openPage(t, large, stub.url);
    await row(page, "10.0.0.1:8080").waitFor();
    assert.equal(await page.evaluate("getComputedStyle(document.body).fontSize"), "28px");
    for (const width of [1440, 720]) {
      await page.setViewportSize({ width, height: 800 });
      await page.getByRole("button", { name: "Manage 10.0.0.1:8080" }).click();
      await page.keyboard.press("Escape");
      assert.deepEqual(await overflow(page), [], `${width}`);
      const covered = await page.evaluate(`[...document.querySelectorAll("tbody button")].filter((button) => {
        button.scrollIntoView({ block: "center" });
        const { x, y, width, height } = button.getBoundingClientRect();
        return document.elementFromPoint(x + width / 2, y + height / 2) !== button;
      }).map((button) => button.ariaLabel)`);
      assert.deepEqual(covered, []);
      await takePicture(page, `large-text-${width}`);
    }
  });

  it("is large enough for fingers, and keeps its states in forced colours", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    const many = Array.from({ length: 12 }, (_, index) => stubNode(`10.0.0.${index}:8080`));
    const dead = stubNode("n1", { states: ["dead"] });
    stub.send("status", stubStatus([dead, ...many, stubNode("n2", { cluster: "b" })]));
    const { page } = await openPage(t, browser, stub.url, { forcedColors: "active", reducedMotion: "reduce" });
    await row(page, "n1").waitFor();
    for (const width of [1440, 640, 360]) {
      await page.setViewportSize({ width, height: 800 });
      const small = await page.evaluate(`[...document.querySelectorAll("button, input, textarea, summary")]
        .filter((control) => control.checkVisibility())
        .map((control) => ({ box: control.getBoundingClientRect(), name: control.outerHTML }))
        .filter(({ box }) => box.width < 24 || box.height < 24)
        .map(({ name }) => name)`);
      assert.deepEqual(small, [], `${width}`);
      assert.deepEqual(await overflow(page), [], `${width}`);
    }
    assert.equal(await row(page, "n1").locator(".state use").getAttribute("href"), "#shape-dead");
    const borders = await page.evaluate<string[]>(
      "[...document.querySelectorAll('[role=tab]')].map((tab) => getComputedStyle(tab).borderColor)",
    );
    assert.notEqual(borders[0], borders[1], "the chosen tab is seen");
    assert.equal(await page.getByRole("tabpanel").getAttribute("aria-labelledby"), "tab-a");
    const moving = `[...document.querySelectorAll("*")]
      .filter((element) => getComputedStyle(element).transitionDuration !== "0s").length`;
    assert.equal(await page.evaluate(moving), 0);
    await takePicture(page, "forced-colors");
  });
});
