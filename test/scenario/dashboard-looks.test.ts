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
  stubStatus,
} from "../support/page-stub.js";

const row = (page: Page, id: string) => page.locator("tbody tr", { hasText: id });
/** Each kind of layout, its narrowest and its widest window, and those of laptops, tablets and phones. */
const WIDTHS = [1920, 1441, 1440, 1366, 1280, 1241, 1240, 1061, 1024, 901, 900, 768, 720, 719, 421, 420, 360];

/** The history, and a ring whose sectors nodes have in turn. */
function ringOf(ids: readonly string[]) {
  return ({ path }: AskedOfStub): StubAnswer | undefined => {
    if (path.startsWith("/v1/history")) return { status: 200, body: stubHistory(1) };
    if (!path.startsWith("/v1/clusters/a/ring")) return undefined;
    const sectors = Array.from({ length: 360 }, (_, sector) => sector % ids.length);
    return { status: 200, body: { nodes: ids.map((id) => ({ id, share: 1 / ids.length })), sectors } };
  };
}

/** The status of one cluster whose policy has a ring. */
function ringStatus(nodes: readonly ReturnType<typeof stubNode>[]) {
  const status = stubStatus(nodes);
  return { ...status, clusters: status.clusters.map((cluster) => ({ ...cluster, policy: "ring-hash" })) };
}

describe("the looks of the dashboard", { skip: WITHOUT_CHROMIUM }, () => {
  let browser: Browser;

  before(async () => {
    browser = await startChromium();
  });
  after(() => browser.close());

  it("keeps the longest words and numbers within their cells, and the table within its card", async (t) => {
    const nodes = [
      stubNode("10.0.0.1:8080", { states: ["breaker-half-open", "ejected", "draining"], inFlight: 1234 }),
      stubNode("unix:/var/run/functions/node-3.sock", { states: ["unchecked"], inFlight: 1234 }),
      stubNode("http://10.0.0.30:8080/api/functions/v2", { states: ["failing"], inFlight: 1234 }),
    ].map((node) => ({ ...node, weight: 1000 }));
    const stub = await startPageStub(t, ringOf([]));
    stub.send("status", stubStatus(nodes));
    const { page } = await openPage(t, browser, stub.url);
    await page.locator("#rate-plot svg[aria-label$='nothing known yet']").waitFor({ state: "attached" });
    const point = { rate: 12_345, errors: 1234, p50Ms: 812, p99Ms: 12_345, inFlight: 1234 };
    const clusters = [{ name: "a", ...point, nodes: nodes.map(({ id }) => ({ id, ...point })) }];
    stub.send("sample", { sequence: 2, atMs: 0, total: point, clusters });
    await row(page, "unix:").getByText("812 ms · 12 s").waitFor();
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const tooWide = await page.evaluate<string[]>(`
        [...document.querySelectorAll("tbody th, tbody td, .figure, .figure > *")]
          .filter((cell) => cell.scrollWidth > cell.clientWidth + 1)
          .map((cell) => cell.tagName + "." + cell.className + " " + cell.textContent)`);
      assert.deepEqual(tooWide, [], `${width}`);
      const [table, card] = await page.evaluate<number[]>(
        "['table', '.nodes'].map((selector) => document.querySelector(selector).getBoundingClientRect().right)",
      );
      assert.ok(table <= card, `${width}: the table ends at ${table}, its card at ${card}`);
      // The square of a node stands beside its name, and never alone on a line.
      const squares = await page.evaluate<number[]>(`[...document.querySelectorAll("tbody tr")].map((one) =>
        one.querySelector(".swatch").getBoundingClientRect().top - one.querySelector(".id").getClientRects()[0].top)`);
      for (const top of squares) assert.ok(top >= 0 && top < 12, `${width}: ${top}`);
    }
    await takePicture(page, "longest");
  });

  it("draws the ring of a single node as a ring, in whose middle something can be read", async (t) => {
    const stub = await startPageStub(t, ringOf(["n1"]));
    stub.send("status", ringStatus([stubNode("n1")]));
    const { page } = await openPage(t, browser, stub.url);
    await page.locator("#ring path:not(.mark)").waitFor();
    const isHole = (at: number) =>
      page.evaluate<boolean>(`(() => {
        const path = document.querySelector("#ring path:not(.mark)");
        return !path.isPointInFill(new DOMPoint(0, ${at}));
      })()`);
    assert.deepEqual(
      [await isHole(0), await isHole(60), await isHole(-60), await isHole(80)],
      [true, true, true, false],
    );
  });

  it("gives nodes colours of their own while there are enough, and none that mean nothing", async (t) => {
    const ids = Array.from({ length: 9 }, (_, index) => `10.0.0.${index}:8080`);
    const explained = { source: "live", cluster: "a", policy: "ring-hash", isFixed: true, node: ids[4], keyHash: 5 };
    const answer = ringOf(ids);
    const stub = await startPageStub(t, (asked) =>
      asked.path.startsWith("/v1/explain")
        ? { status: 200, body: { ...explained, order: [], notes: [] } }
        : answer(asked),
    );
    stub.send("status", ringStatus(ids.slice(0, 8).map((id) => stubNode(id))));
    const { page } = await openPage(t, browser, stub.url);
    const colours = (selector: string, property: string) =>
      page.evaluate<string[]>(
        `[...document.querySelectorAll("${selector}")].map((one) => getComputedStyle(one).${property})`,
      );
    await row(page, ids[7]).waitFor();
    assert.equal(new Set(await colours("tbody .swatch", "backgroundColor")).size, 8);
    stub.send("status", ringStatus(ids.map((id) => stubNode(id))));
    await row(page, ids[8]).waitFor();
    await page.locator("#ring.many path:not(.mark)").nth(8).waitFor();
    assert.equal(new Set(await colours("tbody .bar span", "backgroundColor")).size, 1);
    assert.deepEqual(new Set(await colours("tbody .swatch", "display")), new Set(["none"]));
    assert.equal(new Set(await colours("#ring path:not(.mark)", "fill")).size, 1);
    await page.getByLabel("URL or path").fill("/");
    await page.keyboard.press("Enter");
    await page.locator("#ring .faded").nth(7).waitFor();
    assert.equal(new Set(await colours("#ring path:not(.mark)", "fill")).size, 2, "that of the node stands out");
    await takePicture(page, "many-hues");
  });
});
