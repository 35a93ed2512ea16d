import assert from "node:assert/strict";
import { test } from "node:test";
import { RESERVE } from "../src/outbox/bounds.js";
import { openSlots } from "../src/outbox/open.js";
import { events, Holder, held, Profile, texts } from "./support/profile.js";

const clients = (leases: readonly { state: { client: string } }[]) => leases.map(({ state }) => state.client);

for (const webLocks of [true, false]) {
  const how = webLocks ? "Web Locks" : "lease records";

  test(`three holders get three slots, and a released one is had again (${how})`, async () => {
    const profile = new Profile();
    const [one, two] = [await profile.tab({ webLocks }).open(), await profile.tab({ webLocks }).open("app")];
    const leases = [await one.lease(), await two.lease(), await one.lease()];
    assert.deepEqual(clients(leases), ["web-id1-1", "app-id1-2", "web-id1-3"]);
    assert.deepEqual(
      leases.map(({ state: { epoch, upto, last, events } }) => ({ epoch, upto, last, events })),
      Array(3).fill({ epoch: 1_000_000, upto: 0, last: 0, events: [] }),
    );
    await leases[1]?.store.release();
    profile.now += 1;
    const again = await one.lease();
    assert.deepEqual([again.state.client, again.state.epoch], ["app-id1-2", 1_000_001]);
    assert.deepEqual([one.persistent, two.persistent], [true, true]);
  });
}

test("many that ask at once get different slots", async () => {
  const profile = new Profile();
  const tabs = await Promise.all([1, 2, 3, 4].map(() => profile.tab().open()));
  const leases = await Promise.all(tabs.map((slots) => slots.lease()));
  assert.equal(new Set(clients(leases)).size, 4);
});

test("the slot of a tab that died is free at once, with everything stored and not settled, in order", async () => {
  const profile = new Profile();
  const tab = profile.tab();
  const holder = new Holder(await (await tab.open()).lease());
  await holder.append(events(1, 300));
  await holder.append(events(301, 700, 1_000));
  holder.settle(5);
  await tab.clock.advance(100);
  await profile.count("slots");
  holder.drop([300, 301]);
  await tab.clock.advance(100);
  tab.crash();

  const lease = await (await profile.tab().open()).lease();
  const left = [...events(1, 300), ...events(301, 700, 1_000)].filter(
    ({ seq }) => seq > 5 && seq !== 300 && seq !== 301,
  );
  assert.deepEqual(held(lease), texts(left));
  const { client, upto, last } = lease.state;
  assert.deepEqual({ client, upto, last }, { client: "web-id1-1", upto: 5, last: 700 + RESERVE });
});

test("the lease record of a tab that died can be had after 5 s", async () => {
  const profile = new Profile();
  const tab = profile.tab({ webLocks: false });
  await new Holder(await (await tab.open()).lease()).append(events(1, 3));
  tab.crash();
  const slots = await profile.tab({ webLocks: false }).open();
  profile.now += 4_999;
  assert.equal(await slots.adopt(), null);
  profile.now += 1;
  const lease = await slots.adopt();
  assert.deepEqual(lease && held(lease), texts(events(1, 3)));
});

test("a lease record is renewed as long as the tab lives", async () => {
  const profile = new Profile();
  const tab = profile.tab({ webLocks: false });
  await (await tab.open()).lease();
  for (let seconds = 0; seconds < 12; seconds += 1) {
    profile.now += 1_000;
    await tab.clock.advance(1_000);
    // What the timer began must have been written.
    await profile.count("leases");
  }
  const other = await (await profile.tab({ webLocks: false }).open()).lease();
  assert.equal(other.state.client, "web-id1-2");
});

test("a tab whose lease was taken over while it slept notices, when it writes and when it does not", async () => {
  for (const writes of [true, false]) {
    const profile = new Profile();
    const tab = profile.tab({ webLocks: false });
    const holder = new Holder(await (await tab.open()).lease());
    const lost: string[] = [];
    holder.store.onLost = ({ reason }) => lost.push(reason);
    await holder.append(events(1, 2));
    profile.now += 5_000;
    const other = await (await profile.tab({ webLocks: false }).open()).lease();
    assert.deepEqual(held(other), texts(events(1, 2)));

    if (writes) await assert.rejects(holder.append(events(3, 3)), { name: "StorageError", reason: "lost" });
    else await tab.clock.advance(1_000);
    while (lost.length === 0) await profile.count("leases");
    assert.deepEqual(lost, ["lost"]);
    await assert.rejects(holder.append(events(4, 4)), { reason: "lost" });
    await holder.store.release();
    await new Holder(other).append(events(3, 3, 1));
    await other.store.release();
    const last = await (await profile.tab({ webLocks: false }).open()).lease();
    assert.deepEqual(held(last), texts([...events(1, 2), ...events(3, 3, 1)]));
  }
});

test("what others left behind is adopted, each once, and slots in use or without events are not", async () => {
  const profile = new Profile();
  const tab = profile.tab();
  const slots = await tab.open();
  const [used, left, none] = [await slots.lease(), await slots.lease(), await slots.lease()];
  await new Holder(used).append(events(1, 1));
  await new Holder(left).append(events(1, 2));
  await left.store.release();
  await none.store.release();
  const other = await profile.tab().open();
  const adopted = await other.adopt();
  assert.equal(adopted?.state.client, left.state.client);
  assert.equal(await other.adopt(), null);
});

test("beyond 64 slots the database does not grow, and the page's memory does", async () => {
  const profile = new Profile();
  const slots = await profile.tab().open();
  const leases = [];
  for (let count = 0; count < 65; count += 1) leases.push(await slots.lease());
  assert.equal(new Set(clients(leases)).size, 65);
  assert.equal(await profile.count("slots"), 64);
  assert.equal(slots.persistent, false);
  await leases[64]?.store.release();
});

test("damaged records are passed over, and are gone the next time", async () => {
  const profile = new Profile();
  const slots = await profile.tab().open();
  const holder = new Holder(await slots.lease());
  for (let first = 1; first <= 6; first += 1) await holder.append(events(first, first));
  await holder.store.release();
  await profile.edit((tables) => {
    const chunks = tables("chunks");
    chunks.put("nonsense", [1, 1]);
    const at = 0;
    const payload = "\0".repeat(8);
    chunks.put([{ seq: 2, at, payload: new Uint8Array(8) }], [1, 2]);
    chunks.put(
      [
        { seq: 3, at, payload },
        { seq: 3, at, payload },
      ],
      [1, 3],
    );
    chunks.put([{ seq: 9, at, payload }], [1, 4]);
    chunks.put(null, [1, "text"]);
    return tables("slots").put("unreadable", 70);
  });
  const lease = await slots.lease();
  assert.deepEqual(held(lease), ["3@0:8x0", ...texts(events(5, 6))]);
  assert.equal(await profile.count("chunks"), 3);
});

test("a slot that cannot be read is replaced by one with a new name", async () => {
  const profile = new Profile();
  const slots = await profile.tab().open();
  const holder = new Holder(await slots.lease());
  await holder.append(events(1, 3));
  await holder.store.release();
  await profile.edit((tables) => tables("slots").put({ client: "web-id1-1", epoch: -1, upto: 9, last: 3 }, 1));
  const lease = await slots.lease();
  assert.notEqual(lease.state.client, "web-id1-1");
  assert.deepEqual([lease.state.events, lease.state.last], [[], 0]);
  await new Holder(lease).append(events(1, 1));
  await lease.store.release();
  assert.deepEqual(held(await slots.lease()), texts(events(1, 1)));
});

test("where there is no storage, or none that can be used, slots live in memory", async () => {
  const options = { name: "tidegate", prefix: "web", kind: "auto", now: () => 5, newId: () => "abc" } as const;
  const denied = {
    open: () => {
      throw new DOMException("denied", "SecurityError");
    },
  } as unknown as IDBFactory;
  const newer = new Profile();
  await new Promise((resolve) => {
    newer.factory.open("tidegate", 2).onsuccess = resolve;
  });
  const foreign = new Profile();
  await new Promise((resolve) => {
    foreign.factory.open("tidegate", 1).onsuccess = resolve;
  });
  for (const indexedDB of [null, denied, newer.factory, foreign.factory]) {
    const slots = await openSlots(options, { indexedDB, locks: null });
    assert.equal(slots.persistent, false);
    const { state, store } = await slots.lease();
    assert.deepEqual(state, { client: "web-abc-1", epoch: 5, upto: 0, last: 0, events: [] });
    await assert.rejects(store.save(state), { reason: "failed" });
    store.trim(state);
    await store.release();
    assert.equal(await slots.adopt(), null);
  }
});
