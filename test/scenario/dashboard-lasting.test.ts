import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { openPage, startChromium, WITHOUT_CHROMIUM } from "../support/chromium.js";
import {
  type AskedOfStub,
  type StubAnswer,
  startPageStub,
  stubHistory,
  stubNode,
  stubSample,
  stubStatus,
} from "../support/page-stub.js";
import { until } from "../support/until.js";

const row = (page: Page, id: string) => page.locator("tbody tr", { hasText: id });
const link = (page: Page, text: string) => page.locator("#link").getByText(text, { exact: true }).waitFor();
const message = (page: Page, text: string) => page.locator("#message").getByText(text).waitFor();

/** The history, and nothing else. */
function historyOnly({ path }: AskedOfStub): StubAnswer | undefined {
  return path.startsWith("/v1/history") ? { status: 200, body: stubHistory(1) } : undefined;
}

/** Of one cluster whose policy has a ring. */
function ringStatus(nodes: readonly ReturnType<typeof stubNode>[]) {
  const status = stubStatus(nodes);
  return { ...status, clusters: status.clusters.map((cluster) => ({ ...cluster, policy: "ring-hash" })) };
}

describe("a page of the dashboard that stays open", { skip: WITHOUT_CHROMIUM }, () => {
  let browser: Browser;

  before(async () => {
    browser = await startChromium();
  });
  after(() => browser.close());

  it("counts what is down in its title while nobody sees the page, and says there that it is lost", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus([stubNode("n1")]));
    const { page } = await openPage(t, browser, stub.url);
    await row(page, "n1").waitFor();
    // What a browser does to a tab in the background.
    await page.evaluate("requestAnimationFrame = () => 0");
    stub.send("status", stubStatus([stubNode("n1", { states: ["dead"] })]));
    await until("the title counts", async () => (await page.title()) === "1 down · fnlb");
    stub.cut(500);
    await until("the title says so", async () => (await page.title()) === "Connection lost · fnlb");
  });

  it("gives up a try that gets no word at all, and tries at once when somebody comes back to the tab", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus([stubNode("n1")]));
    stub.cut(0);
    const { page } = await openPage(t, browser, "about:blank");
    await page.clock.install();
    await page.goto(stub.url);
    await page.clock.fastForward(9100);
    await page.getByRole("alert").getByText("no answer within 9 s").waitFor();
    stub.cut(200);
    // The clock stands still: no wait ends by itself.
    await page.clock.pauseAt(Date.now() + 60_000);
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await link(page, "Live");
    assert.equal(await page.locator("#back").textContent(), "Connected again.", "for those who do not see it");
  });

  it("asks again for a ring that it could not have", async (t) => {
    let isBroken = true;
    const stub = await startPageStub(t, (asked) => {
      if (!asked.path.startsWith("/v1/clusters/a/ring")) return historyOnly(asked);
      if (isBroken) return { status: 500, body: {} };
      return { status: 200, body: { nodes: [{ id: "n1", share: 1 }], sectors: [0] } };
    });
    stub.send("status", ringStatus([stubNode("n1")]));
    const { page } = await openPage(t, browser, stub.url);
    await page.getByText("The ring could not be had; asking again.").waitFor();
    isBroken = false;
    stub.send("status", ringStatus([stubNode("n1")]));
    await page.locator("#ring path:not(.mark)").waitFor();
  });

  it("asks for the history once when it is opened, and leaves out no sample that comes during the answer", async (t) => {
    let letGo: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const stub = await startPageStub(t, async (question) => {
      await asked;
      return historyOnly(question);
    });
    stub.send("status", stubStatus([stubNode("n1")]));
    const { page } = await openPage(t, browser, stub.url);
    await row(page, "n1").waitFor();
    for (const sequence of [1, 2, 3]) stub.send("sample", stubSample(sequence, 10 * sequence));
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2")]));
    await row(page, "n2").waitFor();
    letGo();
    await page.locator("#rate").getByText("30", { exact: true }).waitFor();
    stub.send("sample", stubSample(4, 40));
    await page.locator("#rate").getByText("40", { exact: true }).waitFor();
    const line = await page.locator("#rate-plot path:not(.base):not(.area)").getAttribute("d");
    assert.equal(line?.match(/M/g)?.length, 1, `one piece from 2 to 4: ${line}`);
    assert.equal(stub.asked.filter(({ path }) => path.startsWith("/v1/history")).length, 1);
  });

  it("follows in the dialog what another operator does to the node, but for what was touched here", async (t) => {
    const edits: unknown[] = [];
    const stub = await startPageStub(t, (asked) => {
      if (asked.method === "GET") return historyOnly(asked);
      edits.push(asked.body);
      return { status: 200, body: { result: "applied" } };
    });
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2")]));
    const { page } = await openPage(t, browser, stub.url);
    await page.getByRole("button", { name: "Manage n1" }).click();
    const dialog = page.getByRole("dialog", { name: "n1" });
    const weight = dialog.getByLabel("Weight");
    await dialog.getByLabel("Draining").check();
    stub.send("status", stubStatus([{ ...stubNode("n1"), weight: 5 }, stubNode("n2")]));
    await dialog.getByRole("status").getByText("Changed from elsewhere: it is active and has weight 5 now.").waitFor();
    assert.equal(await weight.inputValue(), "5");
    assert.ok(await dialog.getByLabel("Draining").isChecked(), "what was chosen here stays");
    // Back to what it was when the dialog was opened: once "nothing to change".
    await weight.fill("1");
    await dialog.getByRole("button", { name: "Apply" }).click();
    await message(page, "n1 is draining and has weight 1 now.");
    assert.deepEqual(edits, [{ mode: "draining", weight: 1 }]);
  });

  it("parts the changes of one day from those of another, and names the cluster where there are several", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    const send = (atMs: number, states: string[]) =>
      stub.send("status", stubStatus([stubNode("n1", { states }), stubNode("n1", { cluster: "b" })], { atMs }));
    send(Date.UTC(2001, 1, 3, 9), ["serving"]);
    const { page } = await openPage(t, browser, stub.url, { timezoneId: "UTC" });
    await row(page, "n1").waitFor();
    send(Date.UTC(2001, 1, 3, 9, 5), ["dead"]);
    const first = page.locator("#changes li").first();
    await first.getByText("in a, Serving → Dead").waitFor();
    send(Date.UTC(2001, 1, 4, 8), ["dead"]);
    await first.getByText("Sat 3 Feb", { exact: true }).waitFor();
    send(Date.UTC(2001, 1, 4, 8), ["serving"]);
    await first.getByText("in a, Dead → Serving").waitFor();
    assert.equal(await page.locator("#changes li").count(), 3);
    stub.cut(500);
    await page.getByRole("alert").getByText("What is shown is from Sun 4 Feb, 08:00:00.").waitFor();
  });

  it("says that the cluster it showed is gone, and that it is of another version than the balancer", async (t) => {
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus([stubNode("n1"), stubNode("n2", { cluster: "b" })]));
    const { page } = await openPage(t, browser, `${stub.url}#b`);
    await row(page, "n2").waitFor();
    stub.send("status", stubStatus([stubNode("n1")], { version: "0" }));
    await message(page, "Cluster b is gone: what is shown is a.");
    stub.cut(500);
    await link(page, "Connection lost");
    stub.send("status", stubStatus([stubNode("n1")], { version: "1" }));
    stub.cut(200);
    await message(page, "fnlb was 0 and is 1 now: reload this page.");
    await page.locator("#message").getByRole("button", { name: "Reload" }).click();
    await link(page, "Live");
    await page.locator("#message").waitFor({ state: "hidden" });
  });

  it("shows the tab of the cluster that a link leads to, however many stand before it", async (t) => {
    const names = Array.from({ length: 50 }, (_, index) => `cluster-${index}`);
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus(names.map((cluster) => stubNode("n1", { cluster }))));
    const { page } = await openPage(t, browser, `${stub.url}#cluster-40`, { viewport: { width: 360, height: 740 } });
    const inView = `(({ left, right }) => left >= 0 && right <= innerWidth)(
      document.querySelector("[role=tab][aria-selected=true]").getBoundingClientRect())`;
    await page.getByRole("tab", { selected: true }).waitFor();
    assert.equal(await page.evaluate(inView), true);
    await page.getByRole("tab", { selected: true }).focus();
    for (let presses = 0; presses < 12; presses++) await page.keyboard.press("ArrowRight");
    assert.match(page.url(), /#cluster-2$/);
    assert.equal(await page.evaluate(inView), true);
  });

  it("does not grow while it is looked at", async (t) => {
    const ids = Array.from({ length: 20 }, (_, index) => `10.0.0.${index}:8080`);
    const stub = await startPageStub(t, historyOnly);
    stub.send("status", stubStatus(ids.map((id) => stubNode(id))));
    const { page } = await openPage(t, browser, stub.url);
    await row(page, ids[19]).waitFor();
    const session = await page.context().newCDPSession(page);
    let sequence = 1;
    /** Seconds of a balancer in which nodes die, come back, join and leave; what is kept after them. */
    const live = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        const at = sequence++;
        const nodes = ids.map((id, index) => stubNode(id, { states: [(at + index) % 7 === 0 ? "dead" : "serving"] }));
        stub.send("sample", stubSample(at, at % 100, [...ids, `new-${at >> 4}`]));
        stub.send("status", stubStatus([...nodes, stubNode(`new-${at >> 4}`)]));
        if (at % 20 === 0) await page.evaluate("new Promise(requestAnimationFrame)");
      }
      await row(page, `new-${(sequence - 1) >> 4}`).waitFor();
      await session.send("HeapProfiler.collectGarbage");
      const { usedSize: heap } = await session.send("Runtime.getHeapUsage");
      const { nodes } = await session.send("Memory.getDOMCounters");
      return { heap, nodes };
    };
    await live(200);
    const early = await live(200);
    const late = await live(600);
    assert.ok(late.heap < 1.3 * early.heap, `${early.heap} bytes, then ${late.heap}`);
    assert.ok(late.nodes < 1.2 * early.nodes, `${early.nodes} elements, then ${late.nodes}`);
  });
});
