import assert from "node:assert/strict";
import { test } from "node:test";
import { forceCloseDatabase } from "fake-indexeddb";
import { RESERVE } from "../src/outbox/bounds.js";
import { type Outbox, openOutbox, type Settlement } from "../src/outbox/outbox.js";
import type { Lease, SlotState } from "../src/outbox/store.js";
import { recordOf } from "../src/wire/record.js";
import { FakeClock } from "./support/clock.js";
import { asked, events, Holder, held, Profile, type Tab, texts } from "./support/profile.js";

interface Bench {
  readonly profile: Profile;
  readonly tab: Tab;
  readonly lease: Lease;
  readonly holder: Holder;
  readonly persistent: () => boolean;
}

async function bench(): Promise<Bench> {
  const profile = new Profile();
  const tab = profile.tab();
  const slots = await tab.open();
  const lease = await slots.lease();
  profile.transactions = 0;
  return { profile, tab, lease, holder: new Holder(lease), persistent: () => slots.persistent };
}

async function leaseAfterCrash({ profile, tab }: Bench): Promise<Lease> {
  tab.crash();
  return (await profile.tab().open()).lease();
}

function outboxOf({ lease, profile }: Bench, settled: (settlements: readonly Settlement[]) => void = () => {}): Outbox {
  return openOutbox(lease, {
    limits: { bytes: 5 << 20, ageMs: 1e9, roomBytes: 1 << 20 },
    clock: new FakeClock(),
    now: () => profile.now,
    listener: { settled, dropped: () => assert.fail("dropped") },
  });
}

const quotaExceeded = (table: string) => {
  if (table === "chunks") throw new DOMException("full", "QuotaExceededError");
};

/** As browsers do it: the transaction breaks although every request was taken. */
const quotaExceededAtCommit = (table: string, transaction: IDBTransaction) => {
  const breaks = () => (transaction as unknown as { _abort(name: string): void })._abort("QuotaExceededError");
  if (table === "chunks") queueMicrotask(breaks);
};

test("10,000 pushes in one go are one transaction of few records", async () => {
  const given = await bench();
  const outbox = outboxOf(given);
  await Promise.all(Array.from({ length: 10_000 }, () => outbox.push(recordOf(" ".repeat(100)))));
  assert.equal(given.profile.transactions, 1);
  assert.equal(await given.profile.count("chunks"), Math.ceil(10_000 / 256));
  assert.equal([...outbox.from(1)].length, 10_000);
});

test("appends of one go are one transaction", async () => {
  const given = await bench();
  await Promise.all(events(1, 1_000).map((event) => given.holder.append([event])));
  assert.equal(given.profile.transactions, 1);
  assert.equal(await given.profile.count("chunks"), 4);
});

test("appends while a transaction runs are the next one, and are in order after a crash", async () => {
  const given = await bench();
  const { holder } = given;
  const first = holder.append(events(1, 100));
  await null;
  await null;
  const rest = events(101, 1_000).map((event) => holder.append([event]));
  await Promise.all([first, ...rest]);
  assert.equal(given.profile.transactions, 2);
  assert.deepEqual(held(await leaseAfterCrash(given)), texts(events(1, 1_000)));
});

test("a chunk takes events until it has 64 KiB", async () => {
  const given = await bench();
  const sizes = [...events(1, 2, 40_000), ...events(3, 3, 200_000), ...events(4, 4, 0)];
  await given.holder.append(sizes);
  assert.equal(await given.profile.count("chunks"), 3);
  assert.deepEqual(held(await leaseAfterCrash(given)), texts(sizes));
});

test("settling is written once in 100 ms, and on release at once", async () => {
  const given = await bench();
  const { holder } = given;
  await holder.append(events(1, 600));
  given.profile.transactions = 0;
  for (let upto = 1; upto <= 300; upto += 1) holder.settle(upto);
  await given.tab.clock.advance(99);
  assert.equal(given.profile.transactions, 0);
  await given.tab.clock.advance(1);
  assert.equal(await given.profile.count("chunks"), 2);
  assert.equal(given.profile.transactions, 1);
  holder.settle(599);
  holder.drop([600]);
  await holder.store.release();
  assert.equal(await given.profile.count("chunks"), 0);
  assert.equal(given.tab.clock.pending, 0);
  const { epoch, upto, last } = (await leaseAfterCrash(given)).state;
  assert.ok(epoch > given.lease.state.epoch, "numbers that nobody waits for are left behind");
  assert.deepEqual({ upto, last }, { upto: 0, last: 0 });
});

test("a slot that is released while it writes is written once more, and then nothing", async () => {
  const given = await bench();
  const { holder } = given;
  const appended = holder.append(events(1, 2));
  await null;
  await null;
  holder.settle(1);
  const released = holder.store.release();
  await given.tab.clock.advance(100);
  await appended;
  await released;
  assert.equal(given.tab.clock.pending, 0);
  assert.equal((await leaseAfterCrash(given)).state.upto, 1);
});

test("what overflow drops leaves the database", async () => {
  const given = await bench();
  const { holder } = given;
  for (let first = 1; first <= 5_000; first += 100) {
    await holder.append(events(first, first + 99));
    // 1 to 70 stay, as if they were on their way, and the newest 130.
    if (first > 200) holder.drop(events(first - 130, first - 31).map(({ seq }) => seq));
  }
  await given.tab.clock.advance(100);
  assert.ok((await given.profile.count("chunks")) <= 5);
  const { state } = await leaseAfterCrash(given);
  assert.deepEqual(
    state.events.map(({ seq }) => seq),
    [...events(1, 70), ...events(4_871, 5_000)].map(({ seq }) => seq),
  );
});

test("100,000 events pushed and settled leave nothing, and never pile up", async () => {
  const given = await bench();
  let settled = 0;
  const outbox = outboxOf(given, (settlements) => {
    settled += settlements.length;
  });
  let most = 0;
  for (let round = 0; round < 200; round += 1) {
    await Promise.all(Array.from({ length: 500 }, () => outbox.push(recordOf(" ".repeat(20)))));
    outbox.settle(outbox.last, "committed");
    if (round % 20 === 0) most = Math.max(most, await given.profile.count("chunks"));
  }
  assert.deepEqual([settled, outbox.length, outbox.bytes], [100_000, 0, 0]);
  assert.ok(most <= 4, `${most} chunks at once`);
  await outbox.release();
  assert.equal(await given.profile.count("chunks"), 0);
  assert.equal((await leaseAfterCrash(given)).state.last, 0);
});

for (const onPut of [quotaExceeded, quotaExceededAtCommit])
  test(`a full disk leaves events to memory, says so, and keeps their numbers from being used again (${onPut.name})`, async () => {
    const given = await bench();
    const { holder } = given;
    await holder.append(events(1, 2));
    given.profile.onPut = onPut;
    await assert.rejects(holder.append(events(3, 9)), { name: "StorageError", reason: "quota" });
    assert.deepEqual([given.persistent(), given.tab.persistence], [false, [false]]);
    await assert.rejects(holder.append(events(10, 10)), { reason: "quota" });
    const lease = await leaseAfterCrash(given);
    assert.deepEqual(held(lease), texts(events(1, 2)));
    assert.equal(lease.state.last, 10 + RESERVE);
  });

test("a disk with room again takes everything, and that is told", async () => {
  const given = await bench();
  const { profile, holder, tab } = given;
  profile.onPut = quotaExceeded;
  await assert.rejects(holder.append(events(1, 1)));
  profile.onPut = () => {};
  await assert.rejects(holder.append(events(2, 2)), { reason: "quota" });
  assert.equal(given.persistent(), false);
  profile.now += 5_000;
  await holder.append(events(3, 4));
  assert.deepEqual([given.persistent(), tab.persistence], [true, [false, true]]);
  assert.deepEqual(held(await leaseAfterCrash(given)), texts(events(1, 4)));
});

test("pushes to an outbox without storage resolve, and are sent", async () => {
  const given = await bench();
  const outbox = outboxOf(given);
  given.profile.onPut = quotaExceeded;
  await outbox.push(recordOf(" ".repeat(1)));
  await outbox.push(recordOf(" ".repeat(1)));
  assert.deepEqual(
    [...outbox.from(1)].map(({ seq }) => seq),
    [1, 2],
  );
  assert.equal(given.persistent(), false);
});

for (const [how, close] of [
  ["and says so", (connection: IDBDatabase) => forceCloseDatabase(connection as never)],
  ["without a word", (connection: IDBDatabase) => connection.close()],
] as const) {
  test(`a connection that the browser closes ${how} is opened again`, async () => {
    const given = await bench();
    await given.holder.append(events(1, 1));
    for (const connection of given.tab.connections) close(connection);
    await given.holder.append(events(2, 2));
    assert.deepEqual(given.tab.persistence, []);
    assert.deepEqual(held(await leaseAfterCrash(given)), texts(events(1, 2)));
  });
}

test("a database that is deleted under us is written anew, over one connection", async () => {
  const given = await bench();
  const { profile, holder, tab } = given;
  await holder.append(events(1, 300));
  for (let first = 301; first < 310; first += 1) {
    await asked(profile.factory.deleteDatabase("tidegate"));
    await holder.append(events(first, first));
  }
  assert.deepEqual([given.persistent(), tab.persistence], [true, []]);
  assert.equal(tab.openConnections, 1);
  const lease = await leaseAfterCrash(given);
  assert.deepEqual([held(lease), lease.state.epoch], [texts(events(1, 309)), given.lease.state.epoch]);
});

test("a slot that vanished from the database is written anew", async () => {
  const given = await bench();
  await given.holder.append(events(1, 2));
  await given.profile.edit((tables) => tables("slots").clear());
  await given.holder.append(events(3, 3));
  assert.deepEqual(held(await leaseAfterCrash(given)), texts(events(1, 3)));
});

test("connections over which nothing can be written do not pile up", async () => {
  const given = await bench();
  given.profile.onPut = () => {
    throw new DOMException("aborted", "AbortError");
  };
  for (let round = 1; round <= 5; round += 1) {
    await assert.rejects(given.holder.append(events(round, round)), { reason: "closed" });
    given.profile.now += 5_000;
  }
  await new Promise(setImmediate);
  assert.equal(given.tab.openConnections, 0);
});

const restarted: SlotState = { client: "web-id1-1", epoch: 2_000_000, upto: 0, last: 3, events: events(1, 3, 5) };

test("a restart replaces the old numbering at once", async () => {
  const given = await bench();
  const { holder } = given;
  await holder.append(events(1, 300));
  holder.settle(290);
  holder.drop([291, 292]);
  given.profile.transactions = 0;
  const pending = holder.append(events(301, 310));
  const replaced = holder.restart(restarted);
  const next = holder.append(events(4, 4));
  await Promise.all([pending, replaced, next]);
  assert.equal(given.profile.transactions, 1);
  holder.settle(1);
  await holder.store.release();
  const lease = await leaseAfterCrash(given);
  assert.deepEqual(held(lease), texts([...events(2, 3, 5), ...events(4, 4)]));
  const { epoch, upto, last } = lease.state;
  assert.deepEqual({ epoch, upto, last }, { epoch: 2_000_000, upto: 1, last: 4 + RESERVE });
});

test("a restart that does not fit leaves the old numbering as it is, with its events", async () => {
  const given = await bench();
  const { holder } = given;
  await holder.append(events(1, 300));
  given.profile.onPut = quotaExceeded;
  await assert.rejects(holder.restart(restarted), { reason: "quota" });
  const lease = await leaseAfterCrash(given);
  assert.deepEqual([held(lease), lease.state.epoch], [texts(events(1, 300)), given.lease.state.epoch]);
});

test("a restart that could not be written at all is made up for before anything else is", async () => {
  const given = await bench();
  const { profile, holder } = given;
  await holder.append(events(1, 300));
  profile.onPut = () => {
    throw new DOMException("broken", "UnknownError");
  };
  await assert.rejects(holder.restart(restarted), { reason: "failed" });
  profile.onPut = () => {};
  profile.now += 5_000;
  await holder.append(events(4, 5));
  const after = await leaseAfterCrash(given);
  assert.deepEqual(
    [held(after), after.state.epoch, after.state.last],
    [[...texts(restarted.events), ...texts(events(4, 5))], 2_000_000, 5 + RESERVE],
  );
});

for (const stored of [0, 1])
  test(`a number that was sent and not stored is given out to nobody again (${stored} stored before)`, async () => {
    const given = await bench();
    const outbox = outboxOf(given);
    if (stored) await outbox.push(recordOf(" ".repeat(10)));
    outbox.hurried = true;
    given.profile.onPut = quotaExceeded;
    void outbox.push(recordOf(" ".repeat(20)));
    assert.equal([...outbox.from(1)].at(-1)?.seq, stored + 1);
    const { state, store } = await leaseAfterCrash(given);
    assert.equal(state.events.length, stored);
    const isAnother = state.epoch > given.lease.state.epoch;
    assert.ok(isAnother || state.last >= stored + 1, `numbers go on after ${state.last}`);
    assert.equal(isAnother, stored === 0, "what is left keeps its numbers");
    assert.equal(store.reserved, state.last + RESERVE);
  });

test("what a restart has not written yet reserves nothing", async () => {
  const { holder } = await bench();
  const written = holder.restart(restarted);
  assert.equal(holder.store.reserved, 0);
  await written;
  assert.equal(holder.store.reserved, restarted.last + RESERVE);
});
