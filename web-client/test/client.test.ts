import assert from "node:assert/strict";
import { test } from "node:test";
import { earlyOutbox } from "../src/early.js";
import { ClosedError, EventError, OptionError } from "../src/index.js";
import { memoryLease } from "../src/outbox/memory.js";
import { openOutbox } from "../src/outbox/outbox.js";
import { recordOf } from "../src/wire/record.js";
import { Bench, heardData, START } from "./support/bench.js";
import { FakeClock, idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

test("an event goes out after WELCOME, with the time it was handed over, and is acknowledged", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await bench.client.send({ type: "t", data: { x: 1 } });
  const hello = await link.welcome();
  assert.deepEqual([hello.v, hello.client, hello.epoch, hello.next], [1, "web-abc-1", START, 1]);
  const frame = await link.heard();
  assert(frame.type === "events");
  assert.equal(frame.body.first_seq, 1);
  const event = JSON.parse(frame.body.records[0]?.payload ?? "");
  assert.deepEqual(event, { type: "t", data: { x: 1 }, time: "2026-01-01T00:00:00.000Z" });
  assert.equal(bench.client.state.unsettled.events, 1);

  await bench.clock.advance(30);
  link.ack(1, { level: "stored" });
  await idle();
  assert.deepEqual(bench.acknowledged, [
    { client: "web-abc-1", first: 1, last: 1, count: 1, level: "stored", latencyMs: 30 },
  ]);
  assert.deepEqual(bench.client.state.unsettled, { events: 0, bytes: 0 });
  assert.deepEqual(
    bench.states.map(({ status }) => status),
    ["connecting", "open"],
  );
  assert.equal(bench.client.state.transport, "webtransport");
  await bench.end();
});

test("a time of the event's own is kept", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  void bench.client.send({ type: "t", time: "2020-02-02T02:02:02Z" });
  await link.welcome();
  const frame = await link.heard();
  assert(frame.type === "events");
  assert.match(frame.body.records[0]?.payload ?? "", /"time":"2020-02-02T02:02:02Z"/);
  await bench.end();
});

test("listening to something that never happens is refused, with what does happen", async () => {
  const bench = new Bench([]);
  assert.throws(
    () => bench.client.on("acknowledge" as "acknowledged", () => {}),
    (error: OptionError) =>
      error instanceof OptionError &&
      error.message === "on: no such event acknowledge; there are state, acknowledged, refused, dropped",
  );
  await bench.end();
});

test("a refused event is told with its words and its event, and holds up nothing", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome();
  await bench.send(3);
  link.ack(0, { list: [{ seq: 2, code: "schema", refused: true, message: "x: expected a number" }] });
  link.ack(3, { list: [{ seq: 3, code: "sampled", refused: false, message: "" }] });
  await idle();
  assert.deepEqual(
    bench.refused.map(({ seq, code, message, event }) => [seq, code, message, event.data]),
    [[2, "schema", "x: expected a number", 2]],
  );
  assert.deepEqual(
    bench.acknowledged.map(({ first, last, count }) => [first, last, count]),
    [
      [1, 1, 1],
      [3, 3, 1],
    ],
  );
  await bench.end();
});

test("what is no event is refused before it is taken, and says why", async (context) => {
  context.mock.method(console, "error", () => {});
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome({ max_event_bytes: 1_000 });
  await idle();
  const circle: { type: string; data?: never } = { type: "t" };
  Object.assign(circle, { data: circle });
  await assert.rejects(bench.client.send({ type: "" }), EventError);
  await assert.rejects(bench.client.send(null as never), EventError);
  await assert.rejects(bench.client.send(circle), /cannot be written as JSON/);
  await assert.rejects(bench.client.send({ type: "t", data: "x".repeat(1_000) }), /at most 1000/);
  await assert.rejects(bench.client.send(Object.create({ type: "inherited" })), /no members of its own/);
  assert.equal(bench.client.state.unsettled.events, 0);
  await bench.end();
});

test("an event that is none is reported where nobody waits for it, and is no unhandled rejection", async (context) => {
  const reported = context.mock.method(console, "error", () => {});
  const unhandled = context.mock.fn();
  process.on("unhandledRejection", unhandled);
  const bench = new Bench([]);
  void bench.client.send({ type: "" });
  await idle();
  process.off("unhandledRejection", unhandled);
  assert.equal(unhandled.mock.callCount(), 0);
  assert.deepEqual(
    reported.mock.calls.map(({ arguments: [error] }) => error instanceof EventError),
    [true],
  );
  await bench.end();
});

test("flush resolves when everything sent before it is settled, whatever was sent after", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  let flushed = false;
  void bench.client.send({ type: "t" });
  const waiting = bench.client.flush().then(() => {
    flushed = true;
  });
  await link.welcome();
  await bench.send(2);
  link.ack(0);
  await idle();
  assert.equal(flushed, false);
  link.ack(1);
  await waiting;
  await bench.client.flush({ signal: AbortSignal.abort("enough") }).catch((reason) => assert.equal(reason, "enough"));
  const left = assert.rejects(bench.client.flush(), ClosedError);
  await bench.end();
  await left;
});

test("events sent in one go share one promise, as long as there is room and nothing to abort", async () => {
  const bench = new Bench([new GatewayEnd()], { outbox: { maxBytes: 4096 } });
  const send = (signal?: AbortSignal) => bench.client.send({ type: "t" }, signal && { signal });
  const first = send();
  assert.equal(send(), first);
  assert.notEqual(send(new AbortController().signal), first);
  for (let count = 0; count < 60; count += 1) void send();
  assert.notEqual(send(), first);
  await bench.end();
});

test("awaiting send is backpressure: beyond half of the outbox it waits for acknowledgements", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { outbox: { maxBytes: 4096 } });
  await link.welcome();
  let taken = 0;
  const big = { type: "t", data: "x".repeat(900) };
  for (let count = 0; count < 3; count += 1) void bench.client.send(big).then(() => taken++);
  await bench.clock.advance(5);
  assert.equal(taken, 2);
  const controller = new AbortController();
  const given = bench.client.send({ type: "t", data: "kept" }, { signal: controller.signal });
  controller.abort("enough");
  await assert.rejects(given, (reason) => reason === "enough");
  assert.equal(bench.client.state.unsettled.events, 4);
  link.ack(3);
  await idle();
  assert.equal(taken, 3);
  await bench.end();
});

test("beyond the outbox the oldest events not on their way are dropped, and told of", async () => {
  const bench = new Bench([], { outbox: { maxBytes: 4096 } });
  await idle();
  for (let count = 1; count <= 5; count += 1) void bench.client.send({ type: "t", data: `${count}`.padEnd(900) });
  await idle();
  assert.deepEqual(
    bench.dropped.map(({ reason, events }) => [reason, events.map(({ data }) => String(data).trim())]),
    [["overflow", ["1"]]],
  );
  await bench.end();
});

test("before storage is open events wait, in order and bounded", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { outbox: { maxBytes: 4096 } });
  for (let count = 1; count <= 5; count += 1) void bench.client.send({ type: "t", data: `${count}`.padEnd(900) });
  assert.deepEqual(
    bench.dropped.map(({ events }) => events.map(({ data }) => String(data).trim())),
    [["1"]],
  );
  await link.welcome();
  const data = await heardData(link);
  assert.deepEqual(
    data.map((each) => String(each).trim()),
    ["2", "3", "4", "5"],
  );
  await bench.end();
});

test("lossy events go at once or not at all, and say so", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  assert.equal(bench.client.sendLossy({ type: "early" }), false);
  await link.welcome();
  await idle();
  assert.equal(bench.client.sendLossy({ type: "refused by the link" }), false);
  link.lossy = true;
  assert.equal(bench.client.sendLossy({ type: "gone" }), true);
  assert.deepEqual(
    bench.dropped.map(({ reason, events }) => [reason, events[0]?.type]),
    [
      ["lossy", "early"],
      ["lossy", "refused by the link"],
    ],
  );
  await bench.end();
});

test("close waits for the last acknowledgements, says CLOSE done, and leaves no timer behind", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome();
  await idle();
  void bench.client.send({ type: "t" });
  const closed = bench.client.close();
  await assert.rejects(bench.client.send({ type: "late" }), ClosedError);
  assert.deepEqual(await link.heardEvents(), [1]);
  await idle();
  assert.equal(link.open, true);
  link.ack(1);
  assert.equal((await link.heard()).type, "report");
  assert.deepEqual(await link.heard(), { type: "close", body: { code: 4013, reason: "done" } });
  link.say({ type: "close", body: { code: 4013, reason: "done" } });
  await closed;
  assert.equal(bench.acknowledgedCount, 1);
  assert.deepEqual([bench.status, link.open, bench.clock.pending], ["closed", false, 0]);
});

test("close gives up after 5 s", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome();
  await bench.send(2);
  let closed = false;
  const closing = bench.client.close().then(() => {
    closed = true;
  });
  await bench.clock.advance(4_900);
  assert.equal(closed, false);
  await bench.clock.advance(200);
  await closing;
  assert.deepEqual([bench.status, bench.dropped[0]?.events.length], ["closed", 2]);
  assert.equal(bench.clock.pending, 0);
});

test("an aborted signal ends at once", async () => {
  const link = new GatewayEnd();
  const controller = new AbortController();
  const bench = new Bench([link], { signal: controller.signal });
  await link.welcome();
  await bench.send(1);
  controller.abort();
  await idle();
  assert.deepEqual([bench.status, link.open, bench.dropped[0]?.events.length], ["closed", false, 1]);
  assert.equal(bench.clock.pending, 0);
});

test("listeners that throw break nothing, and are reported", async (context) => {
  const reported = context.mock.method(console, "error", () => {});
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  bench.client.on("acknowledged", () => {
    throw new Error("mine");
  });
  const second: number[] = [];
  const off = bench.client.on("acknowledged", ({ count }) => second.push(count));
  await link.welcome();
  await bench.send(1);
  link.ack(1);
  await idle();
  off();
  await bench.send(1);
  link.ack(2);
  await idle();
  assert.deepEqual(second, [1]);
  assert.equal(bench.acknowledgedCount, 2);
  assert.equal(reported.mock.callCount(), 2);
  await bench.end();
});

test("wrong options are named, with what is allowed", () => {
  const wrong: [object, RegExp][] = [
    [{ nmae: "x" }, /nmae: no such option; there are token, name/],
    [{ name: "a b" }, /name: expected 1-64 of A-Z a-z 0-9 . _ : -, found "a b"/],
    [{ batch: { delayMs: 1001 } }, /batch.delayMs: expected an integer in 0..1000, found 1001/],
    [{ batch: { delay: 5 } }, /batch.delay: no such option; there are maxEvents, maxBytes, delayMs/],
    [{ outbox: { storage: "disk" } }, /outbox.storage: expected auto or memory, found "disk"/],
    [{ outbox: null }, /outbox: expected an object, found null/],
    [{ transports: ["quic"] }, /transports: expected some of webtransport, websocket, https/],
    [{ transports: [] }, /transports: expected/],
    [{ token: 5 }, /token: expected a non-empty string or a function, found 5/],
    [{ signal: {} }, /signal: expected an AbortSignal/],
    [{ farewell: "no" }, /farewell: expected true or false/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(
      () => new Bench([], options),
      (error) => error instanceof OptionError && message.test(error.message),
    );
  }
});

test("what has waited too long is dropped and told of when it is due, however long the gateway stays away", async () => {
  const bench = new Bench([], { outbox: { maxAgeMs: 5_000 } });
  await bench.send(2);
  await bench.clock.advance(2_000);
  await bench.send(1, 3);
  await bench.clock.advance(2_900);
  assert.deepEqual(bench.dropped, []);
  await bench.clock.advance(1_100);
  const told = () => bench.dropped.map(({ reason, events }) => [reason, events.map(({ data }) => data)]);
  assert.deepEqual(told(), [["expired", [1, 2]]]);
  await bench.clock.advance(2_000);
  assert.deepEqual(told(), [
    ["expired", [1, 2]],
    ["expired", [3]],
  ]);
  assert.deepEqual(bench.client.state.unsettled, { events: 0, bytes: 0 });
  await bench.end();
  assert.equal(bench.clock.pending, 0);
});

test("events that wait for a slot keep their age, and are not kept twice", async () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const link = new GatewayEnd();
  const state = { client: "web-abc-1", epoch: START, upto: 0, last: 0, events: [] };
  const lease = async () => {
    await opened;
    return memoryLease(state);
  };
  const slots = { persistent: true, adopt: async () => null, lease };
  const bench = new Bench([link], { outbox: { maxAgeMs: 10_000 } }, { slots });
  await bench.clock.advance(1);
  void bench.client.send({ type: "t", data: 1 });
  await bench.clock.advance(4_000);
  void bench.client.send({ type: "t", data: 2 });
  await bench.clock.advance(7_000);
  open();
  await bench.clock.advance(1);
  await link.welcome();
  assert.deepEqual(await heardData(link), [2]);
  link.ack(1);
  await idle();
  assert.deepEqual(
    bench.dropped.map(({ reason, events }) => [reason, events[0]?.data]),
    [["expired", 1]],
  );
  assert(Number(bench.acknowledged[0]?.latencyMs) >= 7_000, `${bench.acknowledged[0]?.latencyMs} ms`);
  await bench.end();
});

test("what has moved on is no more where it waited", async () => {
  const parts = {
    limits: { bytes: 1_000, roomBytes: 500, ageMs: 1_000 },
    clock: new FakeClock(),
    now: () => START,
    listener: { settled: () => {}, dropped: () => assert.fail() },
  };
  const early = earlyOutbox(parts);
  const pushed = early.outbox.push(recordOf(" ".repeat(100)));
  const next = openOutbox(memoryLease({ client: "c", epoch: 1, upto: 0, last: 0, events: [] }), parts);
  early.moveTo(next);
  await pushed;
  assert.deepEqual([early.outbox.length, early.outbox.bytes, next.length, next.bytes], [0, 0, 1, 100]);
});
