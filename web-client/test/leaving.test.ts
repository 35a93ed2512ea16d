import assert from "node:assert/strict";
import { test } from "node:test";
import { thisPage } from "../src/lifecycle.js";
import { memoryLease } from "../src/outbox/memory.js";
import type { Lease } from "../src/outbox/store.js";
import { Bench, START } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { type FakeTarget, inPage } from "./support/dom.js";
import { GatewayEnd } from "./support/gateway.js";

const offers = ["webtransport", "https"] as const;

/** A slot that stores nothing in time, with numbers up to `reserved` that nobody else will use. */
function stuck(reserved: number): Lease {
  const { state, store } = memoryLease({ client: "web-abc-1", epoch: START, upto: 0, last: 0, events: [] });
  return { state, store: { ...store, reserved, save: () => new Promise(() => {}) } };
}

test("a page that hides sends at once, without waiting for company, and later events too", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], {}, { offers });
  await link.welcome();
  await idle();
  void bench.client.send({ type: "t" });
  await bench.page.becomes("hidden");
  assert.deepEqual(await link.heardEvents(), [1]);
  void bench.client.send({ type: "t" });
  assert.deepEqual(await link.heardEvents(), [2]);
  assert.deepEqual(bench.posted, []);
  await bench.end();
});

test("a page that is left posts nothing when an open link has taken everything", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], {}, { offers });
  await link.welcome();
  await idle();
  for (let count = 0; count < 10; count += 1) void bench.client.send({ type: "t", data: count });
  await idle();
  await bench.page.becomes("pagehide");
  assert.equal((await link.heardEvents()).length, 10);
  assert.deepEqual(bench.posted, []);
  await bench.end();
});

test("what credit holds back is posted from the lowest unsettled number, to outlive the page", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { token: "t.1" }, { offers });
  await link.welcome({ limit: 2 });
  await bench.send(4);
  link.ack(1, { limit: 2 });
  await idle();
  await bench.page.becomes("pagehide");
  assert.equal(bench.posted.length, 1);
  const { url, headers, lines, keepalive } = bench.posted[0] ?? assert.fail();
  assert.equal(url, "https://gateway.test/v1/https");
  assert.deepEqual(headers, {
    "content-type": "application/x-ndjson",
    "tidegate-client": "web-abc-1",
    "tidegate-epoch": String(START),
    "tidegate-seq": "2",
    authorization: "Bearer t.1",
  });
  assert.deepEqual([lines.map(({ data }) => data), keepalive], [[2, 3, 4], true]);
  await bench.end();
});

test("at most 60 KiB are under way, the rest stays in the outbox, and what was answered is settled", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], {}, { offers });
  await link.welcome({ limit: 0 });
  link.ack(0, { limit: 0 });
  for (let count = 1; count <= 8; count += 1) void bench.client.send({ type: "t", data: `${count}`.padEnd(10_000) });
  await bench.clock.advance(5);
  link.break();
  await idle();
  await bench.page.becomes("hidden");
  await bench.page.becomes("pagehide");
  assert.deepEqual([bench.posted.length, bench.posted[0]?.lines.length], [1, 6]);
  bench.posted[0]?.answer(200, {
    accepted: 5,
    rejected: [{ index: 1, code: "schema", message: "no" }],
    level: "stored",
    upto: 6,
    limit: 1_030,
  });
  await idle();
  assert.deepEqual([bench.acknowledgedCount, bench.refused.map(({ seq }) => seq)], [5, [2]]);
  assert.equal(bench.client.state.unsettled.events, 2);
  await bench.page.becomes("pagehide");
  assert.deepEqual([bench.posted.length, bench.posted[1]?.lines.length], [2, 2]);
  bench.posted[1]?.answer(409, { reason: "busy" });
  await idle();
  assert.equal(bench.client.state.unsettled.events, 2);
  await bench.end();
});

test("requests under way end with the page, so what they carry is posted again", async () => {
  const link = new GatewayEnd("https");
  const bench = new Bench([link], {}, { offers: ["https"] });
  await link.welcome();
  await bench.send(2);
  assert.deepEqual(await link.heardEvents(), [1, 2]);
  await bench.page.becomes("pagehide");
  assert.equal(bench.posted[0]?.lines.length, 2);
  await bench.end();
});

test("a number that is missing ends the body, since numbers are told by counting lines", async () => {
  const [link, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([link, after], { outbox: { maxBytes: 4096 } }, { offers });
  await link.welcome({ limit: 1 });
  const big = (data: number) => ({ type: "t", data, padding: "x".repeat(900) });
  for (let count = 1; count <= 4; count += 1) void bench.client.send(big(count));
  await bench.clock.advance(5);
  assert.deepEqual(await link.heardEvents(), [1]);
  void bench.client.send(big(5));
  await idle();
  assert.deepEqual(bench.dropped[0]?.events[0]?.data, 2);
  await bench.page.becomes("pagehide");
  assert.deepEqual(
    bench.posted[0]?.lines.map(({ data }) => data),
    [1],
  );
  await bench.end();
});

test("what is not stored is posted as far as its numbers are reserved in storage, and nothing beyond", async () => {
  for (const [reserved, posted] of [
    [0, []],
    [2, [1, 2]],
  ] as const) {
    // A disk that is busy while the page goes.
    const slots = { persistent: true, adopt: async () => null, lease: async () => stuck(reserved) };
    const link = new GatewayEnd();
    const bench = new Bench([link], {}, { offers, slots });
    await link.welcome();
    await idle();
    link.break();
    await idle();
    for (let data = 1; data <= 3; data += 1) void bench.client.send({ type: "t", data });
    await bench.page.becomes("pagehide");
    assert.deepEqual(
      bench.posted.flatMap(({ lines }) => lines.map(({ data }) => data)),
      posted,
    );
    await bench.end();
  }
});

test("a takeover by the page's own farewell is no reason to leave the slot", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after], {}, { offers });
  await before.welcome({ limit: 1 });
  await bench.send(3);
  await before.heardEvents();
  await bench.page.becomes("pagehide");
  assert.equal(bench.posted.length, 1);
  before.say({ type: "close", body: { code: 4006, reason: "taken_over" } });
  await bench.clock.advance(500);
  // The gateway has taken what was posted, and not a word of it reached the page.
  const hello = await after.welcome({ upto: 3 });
  assert.equal(hello.client, "web-abc-1");
  await idle();
  assert.equal(bench.acknowledgedCount, 3);
  await bench.end();
});

test("a page that comes back from the back/forward cache connects anew and goes on", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after], {}, { offers });
  await before.welcome();
  await bench.send(2);
  await bench.page.becomes("pagehide");
  await bench.page.becomes("pageshow");
  await bench.clock.advance(1);
  assert.equal(before.open, false);
  await after.welcome({ upto: 1 });
  assert.deepEqual(await after.heardEvents(), [2]);
  // It is a page like any other again.
  void bench.client.send({ type: "t" });
  await idle();
  after.ack(2);
  await idle();
  assert.equal(bench.client.state.unsettled.events, 1);
  await bench.clock.advance(5);
  assert.deepEqual(await after.heardEvents(), [3]);
  await bench.end();
});

test("without farewell, or without HTTPS, nothing is posted", async () => {
  for (const [options, more] of [
    [{ farewell: false }, { offers }],
    [{}, { offers: ["webtransport"] }],
  ] as const) {
    const link = new GatewayEnd();
    const bench = new Bench([link], options, more);
    await link.welcome({ limit: 0 });
    await bench.send(3);
    await bench.page.becomes("pagehide");
    assert.deepEqual(bench.posted, []);
    await bench.end();
  }
});

test("somebody who looks again does not wait for the next attempt", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
  before.break();
  await idle();
  assert.equal(bench.status, "waiting");
  await bench.page.becomes("visible");
  await after.welcome();
  await idle();
  assert.equal(bench.status, "open");
  await bench.end();
});

test("without a page there is nothing to listen to, and it counts as visible and online", () => {
  assert.deepEqual([thisPage.online, thisPage.visible], [true, true]);
  thisPage.listen(() => assert.fail())();
});

for (const [browser, leave] of [
  ["a browser", (window: FakeTarget) => window.fire("pagehide", false)],
  ["Chromium", (window: FakeTarget) => window.fireAtOnce("pagehide")],
] as const) {
  test(`in ${browser} the client hears of the page last, so that what others send as it goes is sent with the rest`, () => {
    inPage((window, document) => {
      const order: string[] = [];
      const stop = thisPage.listen((signal) => order.push(signal));
      const other = () => order.push("another");
      window.addEventListener("pagehide", other);
      document.addEventListener("visibilitychange", other);
      window.addEventListener("visibilitychange", other);
      document.addEventListener("freeze", other);
      const heard = () => order.splice(0).join(" ");

      // It is left while it is seen, and once more after it was restored.
      for (let visit = 0; visit < 2; visit += 1) {
        leave(window);
        document.visibilityState = "hidden";
        document.fire("visibilitychange", true);
        assert.match(heard(), /^another (pagehide another another|another another pagehide) hidden$/);
        document.fire("freeze", false);
        assert.equal(heard(), "another freeze");
        document.visibilityState = "visible";
        document.fire("visibilitychange", true);
        assert.equal(heard(), "another another visible");
      }

      // It is left while another tab is seen: of the last who listen nobody is sure to be called.
      document.visibilityState = "hidden";
      document.fire("visibilitychange", true);
      assert.equal(heard(), "another another hidden");
      leave(window);
      assert.match(heard(), /^(pagehide another|another pagehide)$/);
      stop();
      leave(window);
      assert.equal(heard(), "another");
    });
  });
}

test("what was posted is not given up as long as it may be acknowledged", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { outbox: { maxBytes: 4096 } }, { offers });
  await link.welcome({ limit: 0 });
  const big = (data: number) => ({ type: "t", data, padding: "x".repeat(900) });
  link.break();
  await idle();
  for (let data = 1; data <= 3; data += 1) void bench.client.send(big(data));
  await idle();
  await bench.page.becomes("hidden");
  assert.equal(bench.posted[0]?.lines.length, 3);
  // An attempt fails meanwhile.
  await bench.clock.advance(2_000);
  for (let data = 4; data <= 5; data += 1) bench.client.send(big(data)).catch(() => {});
  await idle();
  bench.posted[0]?.answer(200, { accepted: 3, rejected: [], level: "stored", upto: 3, limit: 100 });
  await idle();
  const dropped = bench.dropped.flatMap(({ events }) => events.map(({ data }) => data));
  assert.deepEqual([bench.acknowledgedCount, dropped], [3, [4]]);
  await bench.end();
});
