import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkError } from "../src/index.js";
import type { Lease, Slots } from "../src/outbox/store.js";
import { Bench, heardData, START } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";
import { keptLease } from "./support/lease.js";

/** A session that cannot be loaded so many times. */
function missing(times: number): { load: () => Promise<void>; asked: number } {
  const site = {
    asked: 0,
    load: async () => {
      site.asked += 1;
      if (site.asked <= times) throw new Error("Failed to fetch session.js");
    },
  };
  return site;
}

/** Slots that keep what is stored, one after the other. */
function keptSlots(released: number[] = []): Slots {
  const state = { client: "web-abc-1", epoch: START, upto: 0, last: 0, events: [] };
  const lease = async (): Promise<Lease> => keptLease(state, ({ events }) => released.push(events.length));
  return { persistent: true, adopt: async () => null, lease };
}

test("the session is loaded at once, beside opening storage", () => {
  const site = missing(0);
  const bench = new Bench([], {}, { ...site, slots: { ...keptSlots(), lease: () => new Promise(() => {}) } });
  assert.equal(site.asked, 1);
  void bench.client.close();
});

test("events are stored while the session cannot be loaded, the state says why, and they are sent when it is there", async () => {
  const link = new GatewayEnd();
  const site = missing(3);
  const bench = new Bench([link], {}, { ...site, slots: keptSlots() });
  await bench.client.send({ type: "t", data: 1 });
  const { status, error, unsettled, persistent, client } = bench.client.state;
  assert.deepEqual([status, unsettled.events, persistent, client], ["waiting", 1, true, "web-abc-1"]);
  assert(error instanceof LinkError);
  assert.match(error.message, /Failed to fetch session\.js; is session\.js served/);
  while (site.asked < 4) await bench.clock.advance(100);
  await link.welcome();
  await idle();
  assert.deepEqual(await heardData(link), [1]);
  assert.deepEqual([bench.status, bench.client.state.error], ["open", null]);
  await bench.end();
  assert.equal(bench.clock.pending, 0);
});

test("a session that is not to be had is asked for ever less often", async () => {
  const site = missing(1_000);
  const bench = new Bench([], {}, site);
  await bench.clock.advance(5 * 60_000);
  assert(site.asked > 10 && site.asked < 30, `asked ${site.asked} times`);
  await bench.end();
  assert.equal(bench.clock.pending, 0);
});

test("on a first visit that is offline the session is loaded as soon as the network is there", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], {}, missing(1));
  bench.page.online = false;
  await idle();
  assert.equal(bench.status, "offline");
  await bench.page.becomes("online");
  await link.welcome();
  await idle();
  assert.equal(bench.status, "open");
  await bench.end();
});

test("a client that is closed before the session is there keeps its events, within 5 s", async () => {
  for (const [online, count, withinMs] of [
    [true, 1, 5_000],
    [true, 0, 0],
    [false, 1, 0],
  ] as const) {
    const released: number[] = [];
    const bench = new Bench([], {}, { ...missing(1_000), slots: keptSlots(released) });
    bench.page.online = online;
    if (count > 0) await bench.client.send({ type: "t" });
    await idle();
    const closed = bench.client.close();
    await bench.clock.advance(withinMs);
    await closed;
    assert.deepEqual([released, bench.status, bench.clock.pending], [[count], "closed", 0]);
  }
});

test("a session that comes after the client was closed does nothing", async () => {
  let come = () => {};
  const load = () =>
    new Promise<void>((resolve) => {
      come = resolve;
    });
  const bench = new Bench([new GatewayEnd()], {}, { load });
  await idle();
  await bench.client.close();
  come();
  await idle();
  assert.deepEqual([bench.dialled, bench.clock.pending], [[], 0]);
});

test("a session that comes while the client is being closed sends what there is", async () => {
  let come = () => {};
  const load = () =>
    new Promise<void>((resolve) => {
      come = resolve;
    });
  const link = new GatewayEnd();
  const bench = new Bench([link], {}, { load });
  await bench.client.send({ type: "t", data: 1 });
  const closed = bench.client.close();
  await bench.clock.advance(4_000);
  come();
  await link.welcome();
  assert.deepEqual(await heardData(link), [1]);
  link.ack(1);
  await idle();
  link.close();
  await closed;
  assert.deepEqual([bench.acknowledgedCount, bench.clock.pending], [1, 0]);
});

test("a token that is given before the session is there is the one it begins with", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { token: "t.1" }, missing(1));
  await idle();
  bench.client.authenticate("t.2");
  await bench.clock.advance(1_000);
  assert.equal((await link.welcome()).token, "t.2");
  await bench.end();
});
