import assert from "node:assert/strict";
import { test } from "node:test";
import { OutboxFullError } from "../src/errors/outbox-full-error.js";
import { StorageError } from "../src/errors/storage-error.js";
import { memoryLease } from "../src/outbox/memory.js";
import { type DropReason, type Outbox, type OutboxLimits, openOutbox, type Settlement } from "../src/outbox/outbox.js";
import type { Lease, SlotState, StoredEvent } from "../src/outbox/store.js";
import { recordOf } from "../src/wire/record.js";
import { FakeClock, idle } from "./support/clock.js";
import { keptLease } from "./support/lease.js";

const HOUR_MS = 3_600_000;

class Bench {
  readonly settled: Settlement[] = [];
  readonly dropped: [DropReason, number[]][] = [];
  lost: number[] = [];
  lostTexts: string[] = [];
  now = 1_000;
  readonly clock = new FakeClock();
  readonly lease: Lease;
  readonly outbox: Outbox;

  constructor(
    parts: { limits?: Partial<OutboxLimits>; state?: Partial<SlotState>; lease?: (lease: Lease) => Lease } = {},
  ) {
    const state = { client: "web-a-1", epoch: 7, upto: 0, last: 0, events: [], ...parts.state };
    this.lease = (parts.lease ?? ((lease) => lease))(memoryLease(state));
    this.outbox = openOutbox(this.lease, {
      limits: { bytes: 100, ageMs: 48 * HOUR_MS, roomBytes: 50, ...parts.limits },
      clock: this.clock,
      now: () => this.now,
      listener: {
        settled: (settlements) => void this.settled.push(...settlements),
        dropped: (reason, events) => void this.dropped.push([reason, events.map(({ seq }) => seq)]),
        lost: (unstored) => {
          this.lost.push(...unstored.map(({ seq }) => seq));
          this.lostTexts.push(...unstored.map(({ payload }) => payload));
        },
      },
    });
  }

  async push(...sizes: number[]): Promise<void> {
    await Promise.all(sizes.map((bytes) => this.outbox.push(recordOf(" ".repeat(bytes)))));
  }

  from(seq: number): number[] {
    return [...this.outbox.from(seq)].map((event) => event.seq);
  }

  texts(): string[] {
    return [...this.outbox.from(1)].map(({ payload }) => payload);
  }
}

function event(seq: number, at: number, text = "{}"): StoredEvent {
  return { seq, ...recordOf(text), at };
}

test("numbers start at 1, wait in order, and are sent when stored", async () => {
  const bench = new Bench();
  let woken = 0;
  bench.outbox.onStored = () => {
    woken += 1;
  };
  const pushed = bench.push(10, 10, 10);
  assert.deepEqual([bench.outbox.last, bench.outbox.length, bench.outbox.bytes], [3, 3, 30]);
  assert.deepEqual(bench.from(1), []);
  await pushed;
  assert.deepEqual(bench.from(1), [1, 2, 3]);
  assert.deepEqual(bench.from(3), [3]);
  assert.equal(woken, 1);
});

test("pushes of one go are one write", async () => {
  const writes: number[] = [];
  const counted = (lease: Lease): Lease => ({
    ...lease,
    store: {
      ...lease.store,
      save: (state) => {
        writes.push(state.events.length);
        return lease.store.save(state);
      },
    },
  });
  const bench = new Bench({ limits: { bytes: 1e6 }, lease: counted });
  const promises = new Set(Array.from({ length: 10_000 }, () => bench.outbox.push(recordOf("1"))));
  await Promise.all(promises);
  assert.deepEqual(writes, [10_000]);
  assert.equal(promises.size, 1);
});

test("settling is cumulative, in order, once, and says how long it took", async () => {
  const bench = new Bench();
  await bench.push(10, 10, 10);
  bench.now += 40;
  assert.equal(bench.outbox.settle(2, "stored"), 2);
  assert.equal(bench.outbox.settle(1, "committed"), 0);
  assert.deepEqual(
    bench.settled.map(({ event, ...rest }) => ({ ...rest, seq: event.seq, bytes: event.bytes })),
    [
      { seq: 1, latencyMs: 40, level: "stored", refusal: undefined, bytes: 10 },
      { seq: 2, latencyMs: 40, level: "stored", refusal: undefined, bytes: 10 },
    ],
  );
  assert.deepEqual([bench.from(1), bench.outbox.upto, bench.outbox.bytes], [[3], 2, 10]);
});

test("a refusal waits for its number to be settled", async () => {
  const bench = new Bench();
  await bench.push(1);
  bench.outbox.judge({ seq: 1, code: "schema", refused: true, message: "no" });
  bench.outbox.judge({ seq: 9, code: "schema", refused: true, message: "of nobody" });
  assert.equal(bench.settled.length, 0);
  bench.outbox.settle(1, "stored");

  assert.deepEqual(
    bench.settled.map(({ event, refusal }) => [event.seq, refusal?.code, refusal?.message]),
    [[1, "schema", "no"]],
  );
});

test("below what the gateway still knows, the outcome of what was not refused is unknown", async () => {
  const bench = new Bench();
  await bench.push(1, 1, 1);
  bench.outbox.judge({ seq: 2, code: "schema", refused: true, message: "" });
  bench.outbox.settle(3, "stored", 3);
  assert.deepEqual(
    bench.settled.map(({ refusal }) => refusal?.code),
    ["unknown", "schema", undefined],
  );
});

test("the oldest events that are not on their way make room, and are reported", async () => {
  const bench = new Bench();
  await bench.push(40, 20, 20);
  bench.outbox.sentUpto = 1;
  await bench.push(50);
  assert.deepEqual(bench.dropped, [["overflow", [2, 3]]]);
  assert.deepEqual([bench.from(1), bench.outbox.bytes], [[1, 4], 90]);
  bench.outbox.settle(3, "stored");
  assert.deepEqual(
    bench.settled.map(({ event }) => event.seq),
    [1],
  );
});

test("an event for which nothing may give way is not taken, and no number is used up", async () => {
  const bench = new Bench();
  await bench.push(60, 20);
  bench.outbox.sentUpto = 1;
  await assert.rejects(bench.push(50), OutboxFullError);
  await assert.rejects(bench.push(101), OutboxFullError);
  assert.deepEqual([bench.from(1), bench.outbox.last, bench.dropped], [[1, 2], 2, []]);
});

test("an event that overflow drops before it is written is never written", async () => {
  const bench = new Bench();
  await bench.push(60, 60);
  assert.deepEqual(bench.dropped, [["overflow", [1]]]);
  assert.deepEqual(bench.from(1), [2]);
});

test("events of 48 hours are dropped when looked at, unless they are on their way", async () => {
  const bench = new Bench();
  await bench.push(1, 1);
  bench.now += HOUR_MS;
  await bench.push(1);
  bench.outbox.sentUpto = 1;
  bench.now += 47 * HOUR_MS;
  assert.deepEqual(bench.from(1), [1, 3]);
  assert.deepEqual(bench.dropped, [["expired", [2]]]);
});

test("age is looked after as long as something waits, and no longer", async () => {
  const bench = new Bench();
  await idle();
  assert.equal(bench.clock.pending, 0);
  await bench.push(1, 1);
  assert.equal(bench.clock.pending, 1);
  bench.outbox.settle(1, "stored");
  assert.equal(bench.clock.pending, 1);
  bench.outbox.settle(2, "stored");
  assert.equal(bench.clock.pending, 0);
  await bench.push(1);
  await bench.outbox.release();
  assert.equal(bench.clock.pending, 0);
});

test("what is loaded too old or too much is dropped and told of", async () => {
  const now = 100 * HOUR_MS;
  const events = [event(4, 0), event(6, now, "x".repeat(60)), event(7, now, "x".repeat(60))];
  const bench = new Bench({ state: { upto: 3, last: 9, events } });
  bench.now = now;
  await idle();
  assert.deepEqual(bench.dropped, [
    ["expired", [4]],
    ["overflow", [6]],
  ]);
  assert.deepEqual(bench.from(1), [7]);
  await bench.push(1);
  assert.deepEqual(bench.from(1), [7, 10]);
});

test("who waits for room is told once it is there", async () => {
  const bench = new Bench();
  await bench.push(60, 10);
  let room = false;
  const waiting = bench.outbox.room().then(() => {
    room = true;
  });
  await idle();
  assert.equal(room, false);
  bench.outbox.settle(1, "stored");
  await waiting;
  await bench.outbox.room();
});

test("a name that another instance has leaves what is stored to others, and hands back the rest", async () => {
  const released: SlotState[] = [];
  const bench = new Bench({ lease: ({ state }) => keptLease(state, (kept) => released.push(kept)) });
  await bench.push(1, 2);
  void bench.push(3);
  bench.outbox.lose();
  bench.outbox.lose();
  assert.deepEqual([bench.lost, bench.outbox.length, bench.outbox.bytes], [[3], 0, 0]);
  await assert.rejects(bench.push(1), { reason: "lost" });
  await bench.outbox.release();
  assert.deepEqual(
    released.map(({ events }) => events.map(({ seq }) => seq)),
    [[1, 2]],
  );
});

test("of a slot in memory everything is handed back", async () => {
  const bench = new Bench();
  await bench.push(1, 2);
  bench.outbox.lose();
  assert.deepEqual(bench.lost, [1, 2]);
});

test("a restart numbers what is left from 1, and what may have been sent keeps its id", async () => {
  const bench = new Bench({
    state: { upto: 4, last: 7, events: [event(6, 0, '{"type":"a"}'), event(7, 0, '{"id":"x"}')] },
  });
  await bench.outbox.push(recordOf('{"type":"b","id":null}'));
  bench.outbox.sentUpto = 8;
  await bench.outbox.push(recordOf('{"type":"never sent"}'));
  void bench.outbox.push(recordOf('{"type":"not written"}'));
  const restarted = bench.outbox.restart("web-b-1", 9);
  assert.deepEqual(bench.from(1), []);
  await restarted;
  const { client, epoch, upto, last, sentUpto } = bench.outbox;
  assert.deepEqual(
    { client, epoch, upto, last, sentUpto },
    { client: "web-b-1", epoch: 9, upto: 0, last: 5, sentUpto: 0 },
  );
  assert.deepEqual(bench.texts(), [
    '{"type":"a","id":"web-a-1-7-6"}',
    '{"id":"x"}',
    '{"type":"b","id":"web-a-1-7-8"}',
    '{"type":"never sent"}',
    '{"type":"not written"}',
  ]);
  await bench.push(1);
  assert.deepEqual(bench.from(5), [5, 6]);
});

function failing(reason: "quota" | "lost"): (lease: Lease) => Lease {
  const save = () => Promise.reject(new StorageError(reason, "no"));
  return (lease) => ({ ...lease, store: { ...lease.store, save } });
}

test("events that storage does not take live on in memory", async () => {
  const bench = new Bench({ lease: failing("quota") });
  await bench.push(10, 10);
  assert.deepEqual(bench.from(1), [1, 2]);
  assert.equal(bench.outbox.settle(2, "stored"), 2);
  assert.deepEqual(bench.dropped, []);
});

test("a slot that another tab took is left alone, and what was not stored is handed back", async () => {
  const bench = new Bench({ lease: failing("lost"), state: { last: 1, events: [event(1, 0, "x".repeat(60))] } });
  const waiting = bench.outbox.room();
  await bench.push(10);
  await waiting;
  assert.deepEqual([bench.from(1), bench.outbox.length, bench.lost], [[], 0, [2]]);
  await assert.rejects(bench.push(10), { reason: "lost" });
});

test("what was sent before it was stored keeps its id when another tab has taken the slot", async () => {
  const bench = new Bench({ lease: failing("lost") });
  bench.outbox.hurried = true;
  const pushed = [bench.outbox.push(recordOf('{"type":"a"}')), bench.outbox.push(recordOf('{"type":"b"}'))];
  bench.outbox.sentUpto = 1;
  await Promise.all(pushed);
  assert.deepEqual(bench.lostTexts, ['{"type":"a","id":"web-a-1-7-1"}', '{"type":"b"}']);
});

test("after release nothing is taken and nobody waits for ever", async () => {
  const bench = new Bench();
  await bench.push(60);
  const waiting = bench.outbox.room();
  await bench.outbox.release();
  await waiting;
  await assert.rejects(bench.push(1), { reason: "released" });
  await bench.outbox.room();
});

test("a page that goes sends what is not stored yet, as far as its numbers are reserved", async () => {
  const stuck = (lease: Lease): Lease => ({
    ...lease,
    store: { ...lease.store, reserved: 2, save: () => new Promise(() => {}) },
  });
  const bench = new Bench({ lease: stuck });
  let woken = 0;
  bench.outbox.onStored = () => {
    woken += 1;
  };
  void bench.push(1);
  assert.deepEqual(bench.from(1), []);
  bench.outbox.hurried = true;
  assert.deepEqual(bench.from(1), [1]);
  void bench.push(1, 1);
  await idle();
  assert.deepEqual([bench.from(1), woken], [[1, 2], 1]);
});

test("a slot that is lost while a restart is written hands back what was not stored before, and nothing else", async () => {
  let lost = false;
  const save = async () => {
    if (lost) throw new StorageError("lost", "no");
  };
  const bench = new Bench({ lease: (lease) => ({ ...lease, store: { ...lease.store, save } }) });
  await bench.push(1, 1);
  lost = true;
  void bench.outbox.push(recordOf('{"type":"new"}'));
  await bench.outbox.restart("web-b-1", 9);
  assert.deepEqual(bench.lostTexts, ['{"type":"new"}']);
});

test("what storage did not take is handed back when the slot is lost, too", async () => {
  let reason: "quota" | "lost" = "quota";
  const save = async () => {
    throw new StorageError(reason, "no");
  };
  const bench = new Bench({ lease: (lease) => ({ ...lease, store: { ...lease.store, save } }) });
  await bench.push(1);
  reason = "lost";
  await bench.push(1);
  assert.deepEqual(bench.lost, [1, 2]);
});

test("what was lost cannot be settled any more: it is somebody else's", async () => {
  const trimmed: number[] = [];
  const counted = (lease: Lease): Lease => ({
    ...lease,
    store: { ...lease.store, save: async () => {}, trim: ({ events }) => void trimmed.push(events.length) },
  });
  const bench = new Bench({ lease: counted });
  await bench.push(10, 10);
  bench.outbox.sentUpto = 2;
  bench.outbox.lose();
  bench.outbox.judge({ seq: 1, code: "schema", refused: true, message: "" });
  assert.equal(bench.outbox.settle(2, "stored"), 0);
  // It stays as it was stored.
  assert.deepEqual([trimmed, bench.settled, bench.lost], [[2], [], []]);
});
