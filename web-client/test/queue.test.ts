import assert from "node:assert/strict";
import { test } from "node:test";
import { QueueFullError, type Settlement } from "../src/index.js";
import { EventQueue } from "../src/queue.js";

class Bench {
  readonly settled: Settlement[] = [];
  readonly queue: EventQueue;

  constructor(events = 100, bytes = 1_000) {
    this.queue = new EventQueue({ events, bytes });
  }

  push(bytes = 10): number {
    return this.queue.push(new Uint8Array(bytes), (settlement) => this.settled.push(settlement));
  }

  numbersFrom(seq: number): number[] {
    return [...this.queue.from(seq)].map((event) => event.seq);
  }
}

test("numbers start at 1 and events wait in order", () => {
  const bench = new Bench();
  assert.deepEqual([bench.push(), bench.push(), bench.push()], [1, 2, 3]);
  assert.deepEqual(bench.numbersFrom(0), [1, 2, 3]);
  assert.deepEqual(bench.numbersFrom(3), [3]);
  assert.deepEqual([bench.queue.last, bench.queue.upto, bench.queue.length], [3, 0, 3]);
});

test("settling is cumulative, in order, and once", () => {
  const bench = new Bench();
  for (let count = 0; count < 3; count += 1) bench.push();
  assert.equal(bench.queue.settle(2, "stored"), 2);
  assert.equal(bench.queue.settle(1, "committed"), 0);
  assert.deepEqual(bench.settled, [
    { seq: 1, outcome: "acknowledged", level: "stored" },
    { seq: 2, outcome: "acknowledged", level: "stored" },
  ]);
  assert.deepEqual(bench.numbersFrom(1), [3]);
});

test("a refusal waits for its number to be settled", () => {
  const bench = new Bench();
  bench.push();
  bench.queue.judge({ seq: 1, code: "schema", refused: true, message: "no" });
  bench.queue.judge({ seq: 9, code: "schema", refused: true, message: "of nobody" });
  assert.deepEqual(bench.settled, []);
  bench.queue.settle(1, "stored");
  assert.deepEqual(bench.settled, [{ seq: 1, outcome: "refused", code: "schema", message: "no" }]);
});

test("limits of events and of bytes hold, and settling makes room", () => {
  const byEvents = new Bench(2);
  byEvents.push();
  byEvents.push();
  assert.throws(() => byEvents.push(), QueueFullError);
  byEvents.queue.settle(1, "stored");
  assert.equal(byEvents.push(), 3);

  const byBytes = new Bench(100, 25);
  byBytes.push(20);
  assert.throws(() => byBytes.push(6), QueueFullError);
  assert.equal(byBytes.push(5), 2);
  byBytes.queue.settle(1, "stored");
  assert.equal(byBytes.push(20), 3);
});

test("abandoned events have unknown outcomes and give their room back", () => {
  const bench = new Bench(1);
  bench.push();
  bench.queue.abandon();
  assert.deepEqual(bench.settled, [{ seq: 1, outcome: "unknown" }]);
  assert.equal(bench.queue.length, 0);
  assert.equal(bench.push(), 2);
});
