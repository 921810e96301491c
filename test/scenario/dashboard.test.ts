import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBalancer, type TestBalancer } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { namelessRoles, openPage, startChromium, takePicture, WITHOUT_CHROMIUM } from "../support/chromium.js";
import { startClusters } from "../support/clusters.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";

const ADMIN = { admin: { kind: "tcp", host: "127.0.0.1", port: 0 } } as const;
const TOKEN = "correct-horse-battery";

type Started = Pick<TestBalancer, "balancer" | "port">;

const pageOf = ({ balancer }: Started) => `http://${balancer.adminAddress}/`;
const row = (page: Page, id: string) => page.locator("tbody tr", { hasText: id });

/** Which node answers a client. */
async function askedNode({ port }: Started, path: string): Promise<string | null> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  await response.arrayBuffer();
  return response.headers.get("x-node");
}

/** Scripts of the page are texts: these tests are compiled without the types of a document. */
const FOCUSED = "document.activeElement";

async function pressUntil(page: Page, key: string, name: string): Promise<void> {
  const focused = () => page.evaluate<string>(`${FOCUSED}.ariaLabel ?? ${FOCUSED}.textContent`);
  for (let presses = 0; (await focused()).trim() !== name; presses++) {
    assert.ok(presses < 60, `${key} never comes to ${name}`);
    await page.keyboard.press(key);
  }
}

async function overflow(page: Page): Promise<number> {
  return page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth");
}

async function startThree(
  t: TestContext,
  settings: { readonly adminToken?: string } = {},
): Promise<{ readonly started: TestBalancer; readonly nodes: readonly FunctionNode[] }> {
  const nodes = await startFunctionNodes(t, 3);
  const ports = nodes.map(({ port }) => port);
  return { started: await startBalancer(t, { nodes: ports, ...ADMIN, ...settings, pingIntervalMs: 100 }), nodes };
}

describe("the dashboard", { skip: WITHOUT_CHROMIUM }, () => {
  let browser: Browser;

  before(async () => {
    browser = await startChromium();
  });
  after(() => browser.close());

  it("shows nodes, figures and plots, from its own listener alone and without a complaint", async (t) => {
    const { started, nodes } = await startThree(t);
    const { page, complaints, requests } = await openPage(t, browser, pageOf(started), { colorScheme: "light" });
    for (const { address } of nodes) await row(page, address).getByText("Serving").waitFor();
    for (let count = 0; count < 50; count++) await askedNode(started, `/f/${count}`);
    // Samples are two seconds apart.
    await page.locator("#rate-plot path[d*='h.5']").first().waitFor({ state: "attached" });
    await page.locator("#state").getByText("Ready").waitFor();
    assert.equal(await page.locator("#link").textContent(), "Live");
    assert.equal(await page.locator("#store").textContent(), "None");
    const text = await page.locator("#rate-plot svg").getAttribute("aria-label");
    assert.match(text ?? "", /^Requests a second: between .* over the last minutes/);
    const origin = new URL(pageOf(started)).origin;
    assert.deepEqual(
      requests.filter((url) => new URL(url).origin !== origin),
      [],
    );
    assert.deepEqual(complaints, []);
    await takePicture(page, "desktop-light");
  });

  it("shows the death of a node and its return as they happen", async (t) => {
    const { started, nodes } = await startThree(t);
    const [{ address, stop, start }] = nodes;
    const { page, complaints } = await openPage(t, browser, pageOf(started), { colorScheme: "dark" });
    await row(page, address).getByText("Serving").waitFor();
    await stop();
    for (let count = 0; count < 30; count++) await askedNode(started, `/f/${count}`);
    await row(page, address).getByText("Dead").waitFor();
    await page.locator("#changes li", { hasText: address }).getByText("Serving → Dead").waitFor();
    await takePicture(page, "desktop-dark");
    await start();
    await row(page, address).getByText("Serving").waitFor();
    await page.locator("#changes li", { hasText: address }).getByText("Dead → Serving").waitFor();
    assert.deepEqual(complaints, []);
  });

  it("says in a word why the balancer takes nothing new", async (t) => {
    const { started } = await startThree(t);
    const { page } = await openPage(t, browser, pageOf(started));
    const state = page.locator("#state");
    await state.getByText("Ready").waitFor();
    started.balancer.pauseListener(started.addresses[0]);
    await state.getByText("Paused").waitFor();
    assert.equal(await page.title(), "Paused · fnlb");
    started.balancer.resumeListener(started.addresses[0]);
    await state.getByText("Ready").waitFor();
    assert.equal(await page.title(), "fnlb");
  });

  it("asks for the token, keeps it for the tab alone, and drains and enables a node with it", async (t) => {
    const { started, nodes } = await startThree(t, { adminToken: TOKEN });
    const [{ address }] = nodes;
    const { page, complaints } = await openPage(t, browser, pageOf(started));
    const dialog = page.getByRole("dialog", { name: "Token needed" });
    await dialog.getByLabel("Token", { exact: true }).fill("not-the-right-token");
    await dialog.getByRole("button", { name: "Use token" }).click();
    await dialog.getByText("That token was refused").waitFor();
    await takePicture(page, "token");
    await dialog.getByLabel("Token", { exact: true }).fill(TOKEN);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: `Drain ${address}` }).click();
    await row(page, address).getByText("Draining").waitFor();
    const modeOf = () => started.balancer.snapshot().nodes.find(({ id }) => id === address)?.mode;
    assert.equal(modeOf(), "draining");
    await page.getByRole("button", { name: `Enable ${address}` }).click();
    await row(page, address).getByText("Serving").waitFor();
    assert.equal(modeOf(), "active");
    const kept = await page.evaluate<unknown>(
      "[Object.values({ ...sessionStorage }), { ...localStorage }, document.cookie, location.href]",
    );
    assert.deepEqual(kept, [[TOKEN], {}, "", `${pageOf(started)}#default`]);
    // The browser itself writes down that it was refused.
    assert.deepEqual(
      complaints.filter((text) => !text.includes("401")),
      [],
    );
  });

  it("says plainly that it has no token, and asks again when told to", async (t) => {
    const { started } = await startThree(t, { adminToken: TOKEN });
    const { page } = await openPage(t, browser, pageOf(started));
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("The balancer answers only with its token.").waitFor();
    await page.getByRole("button", { name: "Enter token" }).click();
    await page.getByRole("dialog").getByLabel("Token", { exact: true }).fill(TOKEN);
    await page.keyboard.press("Enter");
    await page.locator("#link").getByText("Live").waitFor();
    assert.equal(await page.getByText("The balancer answers only with its token.").count(), 0);
  });

  it("comes over TLS to a browser with a certificate, without a token, and edits with it", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const authority = createAuthority();
    const files = certificateFiles(t);
    const server = authority.issue({ ips: ["127.0.0.1"] });
    const started = await startBalancer(t, {
      nodes: nodes.map(({ port }) => port),
      ...ADMIN,
      adminTlsCertFile: files.write("server.crt", server.cert),
      adminTlsKeyFile: files.write("server.key", server.key),
      adminClientCaFile: files.write("ca.crt", authority.cert),
    });
    const { cert, key } = authority.issue({ name: "operator", usage: "client" });
    const url = `https://${started.balancer.adminAddress}/`;
    const { page, complaints } = await openPage(t, browser, url, {
      ignoreHTTPSErrors: true,
      clientCertificates: [{ origin: new URL(url).origin, cert: Buffer.from(cert), key: Buffer.from(key) }],
    });
    await page.getByRole("button", { name: `Drain ${nodes[0].address}` }).click();
    await row(page, nodes[0].address).getByText("Draining").waitFor();
    assert.deepEqual(complaints, []);
  });

  it("is used by keyboard alone: past the head, into a node, its weight, and back", async (t) => {
    const { started, nodes } = await startThree(t);
    const { address } = nodes[1];
    const { page } = await openPage(t, browser, pageOf(started));
    await row(page, address).waitFor();
    await page.keyboard.press("Tab");
    await pressUntil(page, "Tab", "Skip to the nodes");
    await page.keyboard.press("Enter");
    await pressUntil(page, "Tab", `Manage ${address}`);
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: address });
    await dialog.waitFor();
    assert.equal(await page.evaluate(`${FOCUSED}.value`), "active");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(`${FOCUSED}.id`), "weight");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("3");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "hidden" });
    await row(page, address).getByText("weight 3").waitFor();
    assert.equal(started.balancer.snapshot().nodes.find(({ id }) => id === address)?.weight, 3);
    assert.equal(await page.evaluate(`${FOCUSED}.ariaLabel`), `Manage ${address}`, "the focus is back where it was");
    await page.keyboard.press("Enter");
    await dialog.getByRole("button", { name: "As the config says" }).click();
    await row(page, address).getByText("weight 3").waitFor({ state: "detached" });
    assert.equal(started.balancer.snapshot().nodes.find(({ id }) => id === address)?.weight, 1);
  });

  it("adds a node and removes it, and says why it cannot", async (t) => {
    const { started, nodes } = await startThree(t);
    const [extra] = await startFunctionNodes(t, 1);
    const { page } = await openPage(t, browser, pageOf(started));
    await row(page, nodes[0].address).waitFor();
    await page.getByRole("button", { name: "Add node" }).click();
    const dialog = page.getByRole("dialog", { name: "Add a node" });
    await dialog.getByLabel("Address").fill(nodes[0].address);
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    await dialog.getByRole("alert").getByText(nodes[0].address).waitFor();
    await dialog.getByLabel("Address").fill(extra.address);
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    await row(page, extra.address).getByText("Serving").waitFor();
    assert.equal(started.balancer.snapshot().nodes.length, 4);
    await page.getByRole("button", { name: `Manage ${extra.address}` }).click();
    await takePicture(page, "manage");
    await page.getByRole("button", { name: "Remove node" }).click();
    await page.getByText("Nothing is in flight on it.").waitFor();
    await page.getByRole("button", { name: "Yes, remove it" }).click();
    await row(page, extra.address).waitFor({ state: "detached" });
    assert.equal(started.balancer.snapshot().nodes.length, 3);
  });

  it("draws the ring, and shows where a URL lands and where it falls back to", async (t) => {
    const { started, nodes } = await startThree(t);
    const { page } = await openPage(t, browser, pageOf(started));
    const addressOf = (name: string | null) => nodes.find((node) => node.name === name)?.address;
    await page.locator("#ring path:not(.mark)").nth(2).waitFor();
    await page.getByLabel("URL or path").fill("/hello?name=x");
    await page.keyboard.press("Enter");
    const lands = page.locator("#found .lands .id");
    await lands.waitFor();
    const home = await lands.textContent();
    assert.equal(home, addressOf(await askedNode(started, "/hello?name=x")));
    assert.equal(await page.locator("#ring .faded").count(), 2);
    const order = await page.locator("#found .order .id").allTextContents();
    assert.equal(order.length, 3);
    await takePicture(page, "ring");
    await page.getByRole("button", { name: `Drain ${home}` }).click();
    await page.locator("#found .lands", { hasText: order[1] }).waitFor();
    assert.equal(order[1], addressOf(await askedNode(started, "/hello?name=x")));
  });

  it("tells clusters apart by tabs, which arrows move between", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const started = await startClusters(t, {
      clusters: { a: { nodes: [a.port] }, b: { nodes: [b.port], policy: "rendezvous" } },
      process: ADMIN,
    });
    const { page, complaints } = await openPage(t, browser, pageOf(started));
    await row(page, a.address).waitFor();
    await page.getByRole("tab", { name: /^a / }).focus();
    await page.keyboard.press("ArrowRight");
    await row(page, b.address).waitFor();
    assert.equal(await row(page, a.address).count(), 0);
    await page.getByText("The policy of this cluster has no ring.").waitFor();
    assert.deepEqual(complaints, []);
    assert.equal(await page.getByRole("tab", { selected: true }).textContent(), "b 1/1 serving");
    assert.match(page.url(), /#b$/);
  });

  it("says that the connection is lost, and goes on by itself when it is back", async (t) => {
    const { started, nodes } = await startThree(t);
    const url = pageOf(started);
    const { page } = await openPage(t, browser, url);
    await row(page, nodes[0].address).waitFor();
    await started.balancer.close();
    await page.getByRole("alert").getByText("Connection lost").waitFor();
    assert.equal(await page.locator("#link").textContent(), "Connection lost");
    assert.equal(await page.locator("tbody tr").count(), 3, "what was known is still to be seen");
    await takePicture(page, "connection-lost");
    const port = Number(new URL(url).port);
    await startBalancer(t, { nodes: [nodes[1].port], admin: { ...ADMIN.admin, port } });
    await page.locator("#link").getByText("Live").waitFor();
    await row(page, nodes[0].address).waitFor({ state: "detached" });
    assert.equal(await page.getByText("Connection lost").count(), 0);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    it(`fits a phone in ${colorScheme}, with dialogs and a long name`, async (t) => {
      const { started, nodes } = await startThree(t);
      const { page } = await openPage(t, browser, pageOf(started), {
        colorScheme,
        viewport: { width: 360, height: 740 },
      });
      await row(page, nodes[0].address).waitFor();
      await started.balancer.editNode("default", {
        id: "a-node-with-a-long-name.functions.svc.cluster.local:8080",
        presence: "added",
        mode: "draining",
      });
      await row(page, "a-node-with-a-long-name").waitFor();
      await page.getByLabel("URL or path").fill(`/${"long-".repeat(30)}`);
      await page.getByRole("button", { name: "Find" }).click();
      await page.locator("#found .lands").waitFor();
      assert.equal(await overflow(page), 0);
      await takePicture(page, `phone-${colorScheme}`);
      await page.getByRole("button", { name: `Manage ${nodes[0].address}` }).click();
      assert.equal(await overflow(page), 0);
      const box = await page.locator("#node-dialog").boundingBox();
      assert.ok(box !== null && box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box));
      const paper = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
      assert.equal(paper, colorScheme === "light" ? "rgb(246, 246, 243)" : "rgb(15, 17, 20)");
      await takePicture(page, `phone-${colorScheme}-manage`);
    });
  }

  it("has a name for everything that is operated, on the page and in its dialogs", async (t) => {
    const { started, nodes } = await startThree(t);
    const { page } = await openPage(t, browser, pageOf(started));
    await row(page, nodes[2].address).waitFor();
    await page.locator("#ring path:not(.mark)").nth(2).waitFor();
    for (const open of [undefined, "Add node", `Manage ${nodes[0].address}`]) {
      if (open !== undefined) await page.getByRole("button", { name: open }).click();
      const { named, nameless } = await namelessRoles(page);
      assert.deepEqual(nameless, [], open);
      assert.ok(named > 3, `${named} have one`);
      if (open !== undefined) await page.keyboard.press("Escape");
    }
    const table = page.getByRole("table", { name: "Nodes" });
    assert.equal(await table.getByRole("columnheader").count(), 8);
    assert.equal(await table.getByRole("rowheader").count(), 3);
    await page.setViewportSize({ width: 360, height: 740 });
    assert.equal(await table.getByRole("rowheader").count(), 3, "it is a table on a phone as well");
  });
});
