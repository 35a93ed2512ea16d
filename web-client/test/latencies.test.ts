import assert from "node:assert/strict";
import { test } from "node:test";
import { Latencies } from "../demo/latencies.js";

function medianOf(measurements: readonly number[], capacity = 100): number | null {
  const latencies = new Latencies(capacity);
  for (const ms of measurements) latencies.add(ms);
  return latencies.median();
}

test("the median of the newest measurements", () => {
  assert.equal(medianOf([]), null);
  assert.equal(medianOf([7]), 7);
  assert.equal(medianOf([9, 1, 10]), 9);
  assert.equal(medianOf([4, 1, 2, 3]), 2.5);
  assert.equal(medianOf([100, 100, 1, 2, 3], 3), 2);
});
