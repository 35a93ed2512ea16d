import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePage, interaction, largest, load, paint, shift } from "./support/page.js";

/** What is reported of a page with these entries when it is hidden. */
function vitals(entries: ConstructorParameters<typeof FakePage>[0], supported?: readonly string[]) {
  return measured(new FakePage(entries, supported));
}

function measured(page: FakePage) {
  page.observed({ vitals: true });
  page.hide();
  return values(page);
}

function values(page: FakePage) {
  return Object.fromEntries(page.data("page.vital").map(({ name, value }) => [name, value]));
}

test("all five are reported when the page is hidden, with entries of that moment, and once", () => {
  const page = new FakePage([load(80.4), paint(300), largest(300)]);
  page.observed({ vitals: true });
  assert.deepEqual(page.sent, []);
  page.record(largest(2_600), shift(400, 0.3), interaction(7, 120));
  page.hide();
  page.record(interaction(14, 900));
  page.happen("pagehide");
  page.hide();
  assert.deepEqual(
    page.data("page.vital").map(({ name, value, rating }) => [name, value, rating]),
    [
      ["LCP", 2_600, "needs-improvement"],
      ["CLS", 0.3, "poor"],
      ["INP", 120, "good"],
      ["FCP", 300, "good"],
      ["TTFB", 80, "good"],
    ],
  );
  assert.equal(page.data("page.vital")[0]?.url, "https://shop.example/cart");
});

test("CLS is the largest burst: gaps below 1 s, at most 5 s, without what an input caused", () => {
  const burst = [0, 900, 1_800, 2_700, 3_600, 4_500].map((at) => shift(1_000 + at, 0.01));
  assert.equal(vitals([paint(300), ...burst]).CLS, 0.06);
  assert.equal(vitals([paint(300), ...burst, shift(6_000, 0.05)]).CLS, 0.06); // 5 s after the first: a new burst
  assert.equal(vitals([paint(300), shift(1_000, 0.05), shift(2_000, 0.04)]).CLS, 0.05);
  assert.equal(vitals([paint(300), shift(1_000, 0.05, true)]).CLS, 0);
});

test("INP is the longest event of an interaction, without one outlier in 50", () => {
  assert.equal(vitals([interaction(7, 40), interaction(7, 96), interaction(14, 64)]).INP, 96);
  const many = Array.from({ length: 60 }, (_, index) => interaction(7 * (index + 1), 100 + index));
  assert.equal(vitals(many).INP, 158);
  assert.equal(vitals([interaction(0, 500)]).INP, undefined); // scrolling is no interaction
});

test("what was painted while the page was hidden was not seen", () => {
  const page = new FakePage([load(80), paint(300), largest(500), interaction(7, 48)]);
  page.document.visibilityState = "hidden";
  assert.deepEqual(measured(page), { INP: 48, TTFB: 80 });
  const hidden = { entryType: "visibility-state", name: "hidden", startTime: 400 };
  assert.deepEqual(vitals([hidden, paint(300), largest(500)]), { FCP: 300, CLS: 0 });
});

test("a prerendered page is measured from its activation", () => {
  const entries = [load(80, { activationStart: 1_000 }), paint(900), largest(1_400)];
  assert.deepEqual(vitals(entries), { LCP: 400, CLS: 0, FCP: 0, TTFB: 0 });
});

test("what the browser does not measure is left out", () => {
  assert.deepEqual(vitals([load(80), paint(300), largest(500)], ["paint", "navigation"]), { FCP: 300, TTFB: 80 });
  const page = Object.assign(new FakePage([load(80)]), { PerformanceObserver: undefined });
  assert.deepEqual(measured(page), { TTFB: 80 });
});

test("a return from the back/forward cache is measured anew", () => {
  const page = new FakePage([load(80), paint(300), largest(500), shift(400, 0.3), interaction(7, 120)]);
  page.observed({ vitals: true });
  page.hide();
  page.sent.length = 0;
  page.nowMs = 10_000;
  page.restore(30);
  page.record(shift(10_100, 0.02), interaction(14, 56, 10_200));
  page.hide();
  assert.deepEqual(values(page), { LCP: 30, CLS: 0.02, INP: 56, FCP: 30, TTFB: 0 });
  assert.equal(page.data("page.vital")[0]?.arrival, "bfcache");
});
