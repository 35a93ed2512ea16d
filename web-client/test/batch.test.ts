import assert from "node:assert/strict";
import { test } from "node:test";
import { type Batch, type BatchLimits, takeBatch } from "../src/batch.js";
import { Credit } from "../src/credit.js";
import type { StoredEvent } from "../src/outbox/store.js";

interface Case {
  readonly sizes: readonly number[];
  readonly first?: number;
  readonly idle?: boolean;
  /** Numbers that are missing. */
  readonly gaps?: readonly number[];
  readonly credit?: Credit;
  readonly limits?: Partial<BatchLimits>;
}

function taken({
  sizes,
  first = 1,
  idle = false,
  gaps = [],
  credit = new Credit(1_000, 1_000_000),
  limits,
}: Case): Batch {
  const waiting = sizes
    .map((size, index): StoredEvent => ({ seq: first + index, payload: new Uint8Array(size), at: 0 }))
    .filter(({ seq }) => !gaps.includes(seq));
  return takeBatch(waiting, idle, credit, { events: 1_000, bytes: 64 * 1024, frameBytes: 500_000, ...limits });
}

function numbers(given: Case): number[] {
  const batch = taken(given);
  return batch.kind === "events" ? batch.events.map(({ seq }) => seq) : [];
}

test("nothing waiting is nothing to send", () => {
  assert.deepEqual(taken({ sizes: [] }), { kind: "none" });
});

test("a batch ends at the highest number of credit", () => {
  assert.deepEqual(numbers({ sizes: [1, 1, 1], credit: new Credit(2, 1_000) }), [1, 2]);
});

test("a batch ends at the bytes of credit, spent ones included", () => {
  const credit = new Credit(1_000, 100);
  credit.spend(50);
  assert.deepEqual(numbers({ sizes: [20, 30, 1], credit }), [1, 2]);
});

test("without credit one event may go when nothing before it is unsettled, whatever its size", () => {
  assert.deepEqual(numbers({ sizes: [5_000, 1], idle: true, credit: new Credit(0, 0) }), [1]);
  assert.deepEqual(numbers({ sizes: [1], first: 2, credit: new Credit(0, 0) }), []);
  assert.deepEqual(numbers({ sizes: [1], first: 2, idle: true, credit: new Credit(0, 0) }), [2]);
});

test("a batch says how many payload bytes it holds", () => {
  const batch = taken({ sizes: [20, 30] });
  assert(batch.kind === "events");
  assert.equal(batch.payloadBytes, 50);
});

test("a batch keeps to the limits of count and frame", () => {
  assert.deepEqual(numbers({ sizes: [1, 1, 1], limits: { events: 2 } }), [1, 2]);
  assert.deepEqual(numbers({ sizes: [400, 400, 400], limits: { frameBytes: 1_000 } }), [1, 2]);
});

test("frames stay small, but one large event may go alone", () => {
  assert.deepEqual(numbers({ sizes: [40_000, 40_000] }), [1]);
  assert.deepEqual(numbers({ sizes: [200_000, 1] }), [1]);
});

test("a batch ends where a number is missing, and may begin behind missing ones", () => {
  assert.deepEqual(numbers({ sizes: [1, 1, 1, 1], gaps: [1, 3] }), [2]);
});

test("an event that fits no frame is named, before credit is asked", () => {
  const batch = taken({ sizes: [1_000], limits: { frameBytes: 1_000 }, credit: new Credit(0, 0) });
  assert(batch.kind === "oversized");
  assert.equal(batch.event.seq, 1);
});

test("credit never falls", () => {
  const credit = new Credit(10, 100);
  credit.extend(5, 50);
  assert.equal(credit.covers(10, 100), true);
  credit.extend(11, 100);
  assert.equal(credit.covers(11, 100), true);
  assert.equal(credit.covers(12, 100), false);
  assert.equal(credit.covers(11, 101), false);
});
