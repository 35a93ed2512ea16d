import assert from "node:assert/strict";
import { test } from "node:test";
import { Liveness } from "../src/liveness.js";

test("silence is no matter while nothing waits", () => {
  const liveness = new Liveness(0, 5_000);
  assert.equal(liveness.check(60_000, false), "fine");
});

test("5 s of silence call for one ping, 5 s more are the end", () => {
  const liveness = new Liveness(0, 5_000);
  assert.equal(liveness.check(4_999, true), "fine");
  assert.equal(liveness.check(5_000, true), "ping");
  assert.equal(liveness.check(9_999, true), "fine");
  assert.equal(liveness.check(10_000, true), "dead");
});

test("anything heard ends the suspicion", () => {
  const liveness = new Liveness(0, 5_000);
  liveness.check(5_000, true);
  liveness.heard(6_000);
  assert.equal(liveness.check(10_999, true), "fine");
  assert.equal(liveness.check(11_000, true), "ping");
});
