import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** Of one step in the page; the machine may be busy with other tests. */
const STEP_TIMEOUT_MS = 30_000;

/** Why tests of the dashboard are skipped; false where they run. */
export const WITHOUT_CHROMIUM: string | false = !existsSync(EXECUTABLE) && `${EXECUTABLE} is not installed`;

/** A browser with an empty profile of its own, which is gone when it is closed. */
export function startChromium(...flags: readonly string[]): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: [...FLAGS, ...flags] });
}

/** A page, and what a person would find in its console. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors and warnings: of scripts, of the security policy, of what could not be loaded. */
  readonly complaints: readonly string[];
  /** Everything that was asked for, of whichever host. */
  readonly requests: readonly string[];
}

/** Opens a page in a context of its own: no storage, no cookies. It is closed when the test is over. */
export async function openPage(
  t: TestContext,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_TIMEOUT_MS);
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  return { page, complaints, requests };
}

/** For people to look at: a picture in the directory that FNLB_SCREENSHOTS names, or nothing. */
export async function takePicture(page: Page, name: string): Promise<void> {
  const directory = process.env.FNLB_SCREENSHOTS;
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}

/** What a browser tells assistive technology about one element. */
interface AccessibleNode {
  readonly ignored: boolean;
  readonly role?: { readonly value?: string };
  readonly name?: { readonly value?: string };
}

/** Roles of what is operated, and of what is nothing without a name. */
const NAMED_ROLES = ["button", "textbox", "searchbox", "spinbutton", "radio", "link", "tab", "tablist", "image", "img"];

/** Roles of elements that ought to have a name for those who do not see the page, and have none. */
export async function namelessRoles(page: Page): Promise<{ readonly named: number; readonly nameless: string[] }> {
  const session = await page.context().newCDPSession(page);
  // The protocol's own type has dozens of fields.
  const { nodes } = (await session.send("Accessibility.getFullAXTree")) as { readonly nodes: AccessibleNode[] };
  await session.detach();
  const wanted = nodes.filter(({ ignored, role }) => !ignored && NAMED_ROLES.includes(role?.value ?? ""));
  const nameless = wanted.filter(({ name }) => (name?.value ?? "") === "").map(({ role }) => role?.value ?? "");
  return { named: wanted.length - nameless.length, nameless };
}
