import assert from "node:assert/strict";
import { test } from "node:test";
import { cutUrls } from "../src/page/location.js";
import { FakePage } from "./support/page.js";

function thrown(message: string, stack: string): Error {
  return Object.assign(new TypeError(message), { stack });
}

function observed(options: { maxErrors?: number } = {}): FakePage {
  const page = new FakePage();
  page.observed({ errors: true, ...options });
  return page;
}

test("an error is reported with its place, and URLs in it are cut", () => {
  const page = observed();
  const stack = "TypeError: x\n    at f (https://cdn.example/app.js?token=s3cret:10:5)";
  page.fail(thrown("no answer from https://api.example/me?key=1", stack), {
    filename: "https://cdn.example/app.js?token=s3cret",
    lineno: 10,
    colno: 5,
  });
  assert.deepEqual(page.data("page.error"), [
    {
      view: "view-1",
      url: "https://shop.example/cart",
      kind: "error",
      name: "TypeError",
      message: "no answer from https://api.example/me",
      stack: "TypeError: x\n    at f (https://cdn.example/app.js:10:5)",
      file: "https://cdn.example/app.js",
      line: 10,
      column: 5,
    },
  ]);
});

test("a rejection is reported by its reason, whatever that is", () => {
  const page = observed();
  page.happen("unhandledrejection", { reason: thrown("late", "f@https://cdn.example/app.js:3:14") });
  for (const reason of ["plain", null, Object.create(null)]) page.happen("unhandledrejection", { reason });
  const reports = page.data("page.error").map(({ kind, message, line }) => [kind, message, line]);
  assert.deepEqual(reports, [
    ["rejection", "late", 3],
    ["rejection", "plain", undefined],
    ["rejection", "null", undefined],
    ["rejection", "object", undefined],
  ]);
});

test("what is long is cut", () => {
  const page = observed();
  page.fail(thrown("m".repeat(5_000), "s".repeat(50_000)));
  const [error] = page.data("page.error");
  assert.equal(String(error?.message).length, 1_000);
  assert.equal(String(error?.stack).length, 4_000);
});

test("within a minute an error is sent once, and its repetitions are counted when the page is hidden", () => {
  const page = observed();
  const error = thrown("again", "f@https://cdn.example/app.js:1:1");
  for (let times = 0; times < 3; times += 1) page.fail(error);
  page.nowMs = 59_999;
  page.fail(error);
  page.nowMs = 60_000;
  page.fail(error);
  page.hide();
  page.hide();
  const [first, second, more, ...rest] = page.data("page.error");
  assert.deepEqual([first?.message, second?.message, rest], ["again", "again", []]);
  assert.deepEqual([more?.kind, more?.repeated, more?.beyond], ["more", 3, 0]);
});

test("a page view sends a bounded number of errors and one summary, the next view as many again", () => {
  const page = observed({ maxErrors: 2 });
  for (let index = 0; index < 5; index += 1) page.fail(new Error(`first ${index}`));
  page.history.pushState(null, "", "/checkout");
  page.fail(new Error("second"));
  assert.deepEqual(
    page.data("page.error").map(({ view, message, beyond }) => [view, message ?? beyond]),
    [
      ["view-1", "first 0"],
      ["view-1", "first 1"],
      ["view-1", 3],
      ["view-2", "second"],
    ],
  );
});

test("what hides in a URL of a text is cut, its line and column stay", () => {
  assert.equal(cutUrls("at https://a.example/x?y=1:2:3", "path"), "at https://a.example/x:2:3");
  assert.equal(cutUrls("at https://a.example/x?y=1#z:2:3", "query"), "at https://a.example/x?y=1:2:3");
  assert.equal(cutUrls("see https://a.example/#/me and b?c", "path"), "see https://a.example/ and b?c");
  assert.equal(cutUrls("https://a.example:8080/x?y", "path"), "https://a.example:8080/x");
});
