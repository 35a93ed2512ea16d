import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.js";

test("the ceiling doubles from 0.5 to 30 s, and starts again after a useful connection", () => {
  const backoff = new Backoff(() => 0.999_999);
  const delays = Array.from({ length: 9 }, () => Math.round(backoff.next(null)));
  assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  backoff.reset();
  assert.equal(Math.round(backoff.next(null)), 500);
});

test("jitter is full: everything from nothing to the ceiling", () => {
  assert.equal(new Backoff(() => 0).next(null), 0);
  assert.equal(new Backoff(() => 0.5).next(null), 250);
});

test("a wait that the gateway asks for is never cut short, and bounded", () => {
  assert.equal(new Backoff(() => 0).next(7_000), 7_000);
  assert.equal(new Backoff(() => 0.5).next(7_000), 7_250);
  assert.equal(new Backoff(() => 0).next(2 ** 40), 600_000);
});

test("a wait that makes no sense is none, and never makes the next attempt come sooner", () => {
  assert.equal(new Backoff(() => 0.5).next(-5_000), 250);
});
