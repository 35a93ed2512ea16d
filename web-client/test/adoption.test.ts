import assert from "node:assert/strict";
import { test } from "node:test";
import { StorageError } from "../src/errors/storage-error.js";
import type { Lease, SlotState, Slots } from "../src/outbox/store.js";
import { recordOf } from "../src/wire/record.js";
import { Bench, heardData, START } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";
import { keptLease } from "./support/lease.js";

/** Slots of a profile in which other tabs have left some behind. */
class SharedSlots implements Slots {
  readonly persistent = true;
  readonly left: SlotState[] = [];
  readonly released: SlotState[] = [];
  /** The slot that another tab has found its way into. */
  taken = 0;
  leased = 0;

  async lease(): Promise<Lease> {
    this.leased += 1;
    const slot = this.leased;
    const client = `web-abc-${slot}`;
    const state = { client, epoch: START, upto: 0, last: 0, events: [] };
    const lease = keptLease(state, (now) => this.released.push(now));
    const save = async (state: SlotState) => {
      if (slot === this.taken) throw new StorageError("lost", "another tab has the slot");
      return lease.store.save(state);
    };
    const release = async () => {
      if (slot !== this.taken) await lease.store.release();
    };
    return { ...lease, store: { ...lease.store, save, release } };
  }

  async adopt(): Promise<Lease | null> {
    const state = this.left.shift();
    return state ? keptLease(state, (now) => this.released.push(now)) : null;
  }

  /** A tab has ended with events `first`..`last` unsettled. */
  leave(slot: number, first: number, last: number): void {
    const events = [];
    for (let seq = first; seq <= last; seq += 1) {
      events.push({ seq, ...recordOf(JSON.stringify({ type: "t", data: seq })), at: START });
    }
    this.left.push({ client: `web-abc-${slot}`, epoch: 7, upto: first - 1, last, events });
  }
}

test("what others left behind is sent by their names, one slot after the other, then let go", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
  const slots = new SharedSlots();
  slots.leave(8, 5, 6);
  slots.leave(9, 1, 1);
  const bench = new Bench([...links], {}, { slots });
  await links[0].welcome();
  await idle();
  const first = await links[1].welcome();
  assert.deepEqual([first.client, first.epoch, first.next], ["web-abc-8", 7, 5]);
  assert.deepEqual(await heardData(links[1]), [5, 6]);
  assert.equal(bench.links.length, 1);
  links[1].ack(6);
  assert.deepEqual(await links[1].heard(), { type: "close", body: { code: 4013, reason: "done" } });
  links[1].say({ type: "close", body: { code: 4013, reason: "done" } });
  await idle();
  assert.deepEqual(
    slots.released.map(({ client, upto, events }) => [client, upto, events.length]),
    [["web-abc-8", 6, 0]],
  );
  assert.equal((await links[2].welcome()).client, "web-abc-9");
  assert.deepEqual(bench.acknowledged.map(({ client, count }) => [client, count])[0], ["web-abc-8", 2]);
  assert.equal(bench.client.state.client, "web-abc-1");
  await bench.end();
  assert.equal(bench.clock.pending, 0);
});

test("its own events come first; then it looks at once, and every 30 s", async () => {
  const links = [new GatewayEnd(), new GatewayEnd()] as const;
  const slots = new SharedSlots();
  const bench = new Bench([...links], {}, { slots });
  await bench.send(1);
  await links[0].welcome({ ping_ms: 1_000_000 });
  slots.leave(8, 1, 1);
  await bench.clock.advance(4_000);
  assert.equal(bench.links.length, 1);
  links[0].ack(1);
  await idle();
  assert.equal(bench.links.length, 0);
  const another = new GatewayEnd();
  bench.links.push(another);
  links[1].break();
  await bench.clock.advance(1_000);
  await another.welcome({ upto: 1 });
  await bench.clock.advance(2_000);
  assert.equal(slots.released.length, 1);

  const third = new GatewayEnd();
  bench.links.push(third);
  slots.leave(9, 1, 1);
  await bench.clock.advance(5_000);
  assert.equal(bench.links.length, 1);
  await bench.clock.advance(25_000);
  assert.equal((await third.welcome()).client, "web-abc-9");
  await bench.end();
});

test("somebody who looks makes it look", async () => {
  const links = [new GatewayEnd(), new GatewayEnd()] as const;
  const slots = new SharedSlots();
  const bench = new Bench([...links], {}, { slots });
  await links[0].welcome();
  await idle();
  slots.leave(8, 1, 1);
  await bench.page.becomes("visible");
  assert.equal((await links[1].welcome()).client, "web-abc-8");
  await bench.end();
});

test("a slot that the gateway does not want is let go, and not asked for again soon", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
  const slots = new SharedSlots();
  slots.leave(8, 1, 2);
  const bench = new Bench([...links], { token: "t" }, { slots });
  await links[0].welcome({ ping_ms: 1_000_000 });
  await links[1].heard();
  links[1].say({ type: "close", body: { code: 4003, reason: "auth" } });
  await idle();
  assert.deepEqual(
    slots.released.map(({ client, events }) => [client, events.length]),
    [["web-abc-8", 2]],
  );
  slots.left.push(...slots.released);
  await bench.clock.advance(59_000);
  assert.equal(bench.links.length, 1);
  await bench.clock.advance(61_000);
  assert.equal(bench.links.length, 0);
  assert.equal(bench.status, "open");
  await bench.end();
});

test("a slot that another instance has taken over is left to it, and another one is leased", async () => {
  const links = [new GatewayEnd(), new GatewayEnd()] as const;
  const slots = new SharedSlots();
  const bench = new Bench([...links], {}, { slots });
  await links[0].welcome();
  await bench.send(2);
  const flushed = assert.rejects(bench.client.flush(), /another instance/);
  links[0].say({ type: "close", body: { code: 4006, reason: "taken_over" } });
  await flushed;
  void bench.client.send({ type: "t", data: "while there is no slot" });
  await bench.clock.advance(500);
  assert.equal((await links[1].welcome()).client, "web-abc-2");
  assert.deepEqual(await heardData(links[1]), ["while there is no slot"]);
  assert.deepEqual(
    slots.released.map(({ client, events }) => [client, events.length]),
    [["web-abc-1", 2]],
  );
  await bench.end();
});

test("a slot that another tab took with what is stored is left, and what was not stored goes into the next one", async () => {
  const links = [new GatewayEnd(), new GatewayEnd()] as const;
  const slots = new SharedSlots();
  const bench = new Bench([...links], {}, { slots });
  await links[0].welcome();
  await bench.send(1);
  assert.deepEqual(await heardData(links[0]), [1]);
  slots.taken = 1;
  const sent = bench.client.send({ type: "t", data: 2 });
  await sent;
  assert.equal(links[0].open, false);
  await bench.clock.advance(500);
  assert.equal((await links[1].welcome()).client, "web-abc-2");
  assert.deepEqual(await heardData(links[1]), [2]);
  await bench.end();
});

test("what a slot that is lost at the very end has not stored is stored in another one", async () => {
  const slots = new SharedSlots();
  const bench = new Bench([], {}, { slots });
  await idle();
  slots.taken = 1;
  void bench.client.send({ type: "t" });
  const closed = bench.client.close();
  await bench.clock.advance(5_000);
  await closed;
  assert.deepEqual(
    slots.released.map(({ client, events }) => [client, events.length]),
    [["web-abc-2", 1]],
  );
  assert.equal(bench.clock.pending, 0);
});

test("what was being stored when a slot was taken over goes into the next one, once, whatever becomes of the write", async () => {
  for (const reason of ["lost", "failed"] as const) {
    const links = [new GatewayEnd(), new GatewayEnd()] as const;
    const slots = new SharedSlots();
    const lease = slots.lease.bind(slots);
    let fail = (_: StorageError) => {};
    slots.lease = async () => {
      const first = slots.leased === 0;
      const { state, store } = await lease();
      const stuck = () =>
        new Promise<void>((_, reject) => {
          fail = reject;
        });
      return { state, store: { ...store, ...(first && { save: stuck }) } };
    };
    const bench = new Bench([...links], {}, { slots });
    await links[0].welcome();
    await bench.send(2);
    links[0].say({ type: "close", body: { code: 4006, reason: "taken_over" } });
    await bench.clock.advance(500);
    assert.equal((await links[1].welcome()).client, "web-abc-2");
    assert.deepEqual(await heardData(links[1]), [1, 2]);
    // Only now it is told that nothing came of it.
    fail(new StorageError(reason, "too late"));
    await bench.send(1, 3);
    assert.deepEqual(await heardData(links[1]), [3]);
    links[1].ack(3);
    await idle();
    assert.equal(bench.client.state.unsettled.events, 0);
    await bench.end();
  }
});
