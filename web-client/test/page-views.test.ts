import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePage, load } from "./support/page.js";

test("nothing is observed unless asked for", () => {
  const page = new FakePage([load(80)]);
  const { pushState } = page.history;
  page.observed({});
  page.fail(new Error("oops"));
  page.hide();
  assert.deepEqual(page.sent, []);
  assert.equal(page.history.pushState, pushState);
});

test("a load is a view, with neither query nor fragment", () => {
  const page = new FakePage([load(80, { type: "reload" })]);
  page.document.referrer = "https://search.example/find?q=secret";
  page.observed({ views: true, attributes: { source: "/shop", release: "1.4" } });
  assert.deepEqual(page.sent, [
    {
      type: "page.view",
      source: "/shop",
      release: "1.4",
      data: {
        view: "view-1",
        url: "https://shop.example/cart",
        arrival: "reload",
        referrer: "https://search.example/find",
      },
    },
  ]);
});

for (const navigation of [undefined, new EventTarget()]) {
  test(`a new URL is a view, ${navigation ? "with" : "without"} the Navigation API`, () => {
    const page = new FakePage();
    if (navigation) page.navigation = navigation;
    page.observed({ views: true });
    page.history.pushState(null, "", "/checkout");
    page.history.replaceState(null, "", "/checkout?step=2"); // what is reported stays the same
    page.location.href = "https://shop.example/cart";
    (navigation ?? page).dispatchEvent(new Event(navigation ? "currententrychange" : "popstate"));
    const views = page.data("page.view").map(({ url, arrival, referrer }) => [url, arrival, referrer]);
    assert.deepEqual(views, [
      ["https://shop.example/cart", "navigate", undefined],
      ["https://shop.example/checkout", "same_document", "https://shop.example/cart"],
      ["https://shop.example/cart", "same_document", "https://shop.example/checkout"],
    ]);
  });
}

test("as much of the URL is reported as was asked for", () => {
  for (const [urls, url] of [
    ["query", "https://shop.example/cart?user=7"],
    ["all", "https://shop.example/cart?user=7#top"],
  ] as const) {
    const page = new FakePage();
    page.observed({ views: true, urls });
    assert.equal(page.data("page.view")[0]?.url, url);
  }
});

test("a return from the back/forward cache is a view", () => {
  const page = new FakePage();
  page.observed({ views: true });
  page.restore(10);
  page.happen("pageshow", { persisted: false });
  assert.deepEqual(
    page.data("page.view").map(({ view, arrival }) => [view, arrival]),
    [
      ["view-1", "navigate"],
      ["view-2", "bfcache"],
    ],
  );
});

test("a prerendered page is viewed when it is activated", () => {
  const page = new FakePage([load(80, { activationStart: 500 })]);
  page.document.prerendering = true;
  page.observed({ views: true });
  assert.deepEqual(page.sent, []);
  page.document.dispatchEvent(new Event("prerenderingchange"));
  assert.equal(page.data("page.view")[0]?.arrival, "prerender");
});

test("after the end nothing is sent, and history is as it was", () => {
  const page = new FakePage();
  const { pushState } = page.history;
  const stop = page.observed({ views: true, vitals: true, errors: true });
  const wrapped = page.history.pushState;
  stop();
  assert.equal(page.history.pushState, pushState);
  wrapped(null, "", "/checkout"); // by who had kept it
  page.fail(new Error("oops"));
  page.hide();
  page.restore(10);
  assert.equal(page.sent.length, 1);
});

test("a share decides by one draw for all kinds, and is told", () => {
  const page = new FakePage([load(80)]);
  page.random = 0.2;
  page.observed({ views: 0.1, vitals: 0.25, errors: true });
  page.fail(new Error("oops"));
  page.hide();
  assert.deepEqual(
    page.sent.map(({ type, data }) => [type, (data as { share?: number }).share]),
    [
      ["page.error", undefined],
      ["page.vital", 0.25],
    ],
  );
});

test("redact sees every event, changes it or keeps it back", () => {
  const page = new FakePage([load(80)]);
  page.observed({
    views: true,
    vitals: true,
    redact: (event) => (event.type === "page.view" ? { ...event, subject: "seen" } : null),
  });
  page.hide();
  assert.deepEqual(
    page.sent.map(({ type, subject }) => [type, subject]),
    [["page.view", "seen"]],
  );
});

test("a redact that throws sends nothing, and is reported once", () => {
  const page = new FakePage();
  const broken = new Error("no such member");
  page.observed({
    views: true,
    redact: () => {
      throw broken;
    },
  });
  page.history.pushState(null, "", "/checkout");
  assert.deepEqual(page.sent, []);
  assert.deepEqual(page.reported, [broken]);
});

test("a client that takes no event is reported once", async () => {
  const page = new FakePage();
  const closed = new Error("closed");
  page.accept = () => Promise.reject(closed);
  page.observed({ views: true });
  page.history.pushState(null, "", "/checkout");
  await new Promise(setImmediate);
  assert.deepEqual(page.reported, [closed]);
});

test("options out of bounds are named", () => {
  const page = new FakePage();
  assert.throws(() => page.observed({ vitals: 7 }), { name: "RangeError", message: /^vitals: .* found 7$/ });
  assert.throws(() => page.observed({ maxErrors: 0 }), { name: "RangeError", message: /^maxErrors: .* found 0$/ });
});
