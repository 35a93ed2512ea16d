import assert from "node:assert/strict";
import { test } from "node:test";
import { Latencies } from "../demo/latencies.js";

function percentile(quantile: number, ...several: (readonly number[])[]): number | null {
  const all = several.map((measurements) => {
    const latencies = new Latencies();
    for (const ms of measurements) latencies.add(ms);
    return latencies;
  });
  return Latencies.percentile(all, quantile);
}

test("a percentile is a measurement that so many do not exceed", () => {
  assert.equal(percentile(0.5, []), null);
  assert.equal(percentile(0.99, [7]), 7);
  assert.equal(percentile(0.5, [9, 1, 10]), 9);
  assert.equal(percentile(0.5, [4, 1], [2, 3]), 2);
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(percentile(0.99, hundred), 99);
  assert.equal(percentile(1, hundred), 100);
});

test("of very many measurements a sample is kept", () => {
  const latencies = new Latencies(() => 0);
  for (let count = 0; count < 20_000; count += 1) latencies.add(count < 10_000 ? 1 : 2);
  assert.equal(latencies.count, 20_000);
  assert.equal(Latencies.percentile([latencies], 0.5), 1);
});
