import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTENT_TYPES, preferredFormat } from "../../src/admin/metrics/exposition.js";

describe("the format that a scraper prefers", () => {
  for (const [accept, format] of [
    [undefined, "prometheus"],
    ["", "prometheus"],
    ["*/*", "prometheus"],
    ["text/html,application/xhtml+xml,*/*;q=0.8", "prometheus"],
    ["application/openmetrics-text", "openmetrics"],
    ["Application/OpenMetrics-Text; Version=1.0.0", "openmetrics"],
    // What Prometheus itself sends.
    [
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      "openmetrics",
    ],
    ["application/openmetrics-text;q=0.3, text/plain;q=0.9", "prometheus"],
    ["application/openmetrics-text;q=0, text/plain", "prometheus"],
    ["application/openmetrics-text;q=0", "prometheus"],
    ["application/openmetrics-text;q=x", "prometheus"],
  ] as const) {
    it(`is ${format} for ${accept ?? "no Accept at all"}`, () => assert.equal(preferredFormat(accept), format));
  }
});

describe("the media types of the formats", () => {
  it("name their versions, without which a scraper does not know how to read them", () => {
    assert.match(CONTENT_TYPES.prometheus, /^text\/plain; version=0\.0\.4;/);
    assert.match(CONTENT_TYPES.openmetrics, /^application\/openmetrics-text; version=1\.0\.0;/);
    for (const [format, type] of Object.entries(CONTENT_TYPES)) assert.equal(preferredFormat(type), format);
  });
});
