import assert from "node:assert/strict";
import { test } from "node:test";
import { browserOf, isExcluded } from "../src/link/browser.js";

const webkit = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
const chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

for (const [agent, browser] of [
  [`Mozilla/5.0 (X11; Linux x86_64) ${chrome}`, { name: "chrome", version: "140.0.0.0" }],
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${chrome} Edg/141.0.0.0`, { name: "edge", version: "141.0.0.0" }],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", { name: "firefox", version: "150.0" }],
  [
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${webkit} Version/26.4 Safari/605.1.15`,
    { name: "safari", version: "26.4" },
  ],
  ["Node.js/20", null],
] as const) {
  test(`${browser?.name ?? "no browser"} is known by its User-Agent`, () => {
    assert.deepEqual(browserOf(agent), browser);
  });
}

test("versions are compared as numbers, part by part", () => {
  const excluded = (version: string, below: string | null) =>
    isExcluded([{ transport: "webtransport", browser: "safari", below }], "webtransport", { name: "safari", version });
  assert.equal(excluded("9.1", "26"), true);
  assert.equal(excluded("26.0", "26"), false);
  assert.equal(excluded("26.10", "26.9"), false);
  assert.equal(excluded("26", "26.0.1"), true);
  assert.equal(excluded("99", null), true);
});

test("an exclusion is of one transport and one browser", () => {
  const exclusions = [{ transport: "webtransport", browser: "safari", below: null }];
  assert.equal(isExcluded(exclusions, "websocket", { name: "safari", version: "1" }), false);
  assert.equal(isExcluded(exclusions, "webtransport", { name: "chrome", version: "1" }), false);
  assert.equal(isExcluded(exclusions, "webtransport", null), false);
});
