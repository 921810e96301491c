import { metricsText } from "../../src/admin/metrics/metrics.js";
import type { Balancer } from "../../src/balancer.js";
import { readRuntime } from "../../src/system/runtime-meter.js";
import { type Family, parseExposition } from "./exposition.js";

/** What a scraper reads of a balancer now. */
export function scrape(balancer: Balancer): Family[] {
  return parseExposition(scrapedText(balancer));
}

export function scrapedText(balancer: Balancer): string {
  return metricsText({ snapshot: balancer.snapshot(), runtime: readRuntime(), version: "1.2.3" });
}
