import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, connected } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

test("events wait 5 ms for company, a full frame goes at once, and nothing waits when a connection has just opened", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { batch: { maxEvents: 3 } });
  void bench.client.send({ type: "t" });
  await link.welcome();
  assert.deepEqual(await link.heardEvents(), [1]);
  void bench.client.send({ type: "t" });
  await bench.clock.advance(4);
  void bench.client.send({ type: "t" });
  await bench.clock.advance(1);
  assert.deepEqual(await link.heardEvents(), [2, 3]);
  for (let count = 0; count < 4; count += 1) void bench.client.send({ type: "t" });
  assert.deepEqual(await link.heardEvents(), [4, 5, 6]);
  await bench.end();
});

test("a frame full of bytes goes at once", async () => {
  const [bench, link] = await connected(1, { batch: { maxBytes: 1024 } });
  await idle();
  for (let count = 0; count < 3; count += 1) void bench.client.send({ type: "t", data: "x".repeat(400) });
  assert.deepEqual(await link.heardEvents(), [1, 2]);
  assert.deepEqual(await link.heardEvents(), [3]);
  await bench.end();
});

test("no event goes beyond credit, and more credit lets the rest go", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await bench.send(5);
  await link.welcome({ limit: 2 });
  assert.deepEqual(await link.heardEvents(), [1, 2]);
  link.ack(0, { limit: 4, reason: "broker" });
  assert.deepEqual(await link.heardEvents(), [3, 4]);
  assert.equal(bench.client.state.reason, "broker");
  link.ack(4, { limit: 4 });
  // Nothing is unsettled any more, so one event is free.
  assert.deepEqual(await link.heardEvents(), [5]);
  assert.equal(bench.client.state.reason, "ok");
  await bench.end();
});

test("what is on its way on a link is not sent there again", async () => {
  const [bench, link] = await connected();
  await bench.send(3);
  assert.deepEqual(await link.heardEvents(), [1, 2, 3]);
  link.ack(1);
  await idle();
  await bench.send(1);
  assert.deepEqual(await link.heardEvents(), [4]);
  await bench.end();
});

test("events dropped before they were sent are given up by the number of the next one", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { outbox: { maxBytes: 4096 } });
  await idle();
  for (let count = 1; count <= 5; count += 1) void bench.client.send({ type: "t", data: "x".repeat(900) });
  await link.welcome({ limit: 1 });
  const frame = await link.heard();
  assert(frame.type === "events");
  assert.deepEqual([frame.body.first_seq, frame.body.records.length], [2, 1]);
  await bench.end();
});

test("what a broken link may or may not have delivered makes room too, when there is no other", async () => {
  const [bench, link] = await connected(1, { outbox: { maxBytes: 4096 } });
  const big = { type: "t", data: "x".repeat(900) };
  for (let count = 0; count < 4; count += 1) void bench.client.send(big);
  await bench.clock.advance(5);
  assert.equal((await link.heardEvents()).length, 4);
  // Nobody waits for this promise, and nothing comes of that.
  void bench.client.send(big);
  await assert.rejects(bench.client.send(big), { name: "OutboxFullError" });
  link.break();
  await idle();
  await bench.client.send({ type: "t" }, { signal: AbortSignal.abort() }).catch(() => {});
  void bench.client.send(big);
  await idle();
  assert.equal(bench.dropped.length, 1);
  await bench.end();
});

test("an event that fits no frame is refused, and the next one goes", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  void bench.client.send({ type: "large", data: "x".repeat(2_000) });
  await bench.send(1);
  await link.welcome({ max_frame_bytes: 1_000 });
  const frame = await link.heard();
  assert(frame.type === "events");
  assert.deepEqual([frame.body.first_seq, frame.body.records.length], [2, 0]);
  assert.deepEqual(await link.heardEvents(), [2]);
  link.ack(2);
  await idle();
  assert.deepEqual(
    bench.refused.map(({ code, event }) => [code, event.type]),
    [["too_large", "large"]],
  );
  assert.equal(bench.acknowledgedCount, 1);
  await bench.end();
});

test("a frame keeps to the limits of the application and of the gateway", async () => {
  for (const [batch, welcome, sizes] of [
    [{ maxEvents: 2 }, {}, [2, 2, 1]],
    [{}, { max_batch_events: 3 }, [3, 2]],
    [{}, { max_frame_bytes: 1_000 }, [2, 2, 1]],
    [{ maxBytes: 1_024 }, {}, [2, 2, 1]],
  ] as const) {
    const link = new GatewayEnd();
    const bench = new Bench([link], { batch });
    for (let count = 0; count < 5; count += 1) void bench.client.send({ type: "t", data: "x".repeat(380) });
    await link.welcome(welcome);
    for (const size of sizes) assert.equal((await link.heardEvents()).length, size);
    await bench.end();
  }
});

test("one large event goes alone, whatever a frame should hold", async () => {
  const [bench, link] = await connected();
  void bench.client.send({ type: "t", data: "x".repeat(200_000) });
  await bench.send(1);
  assert.deepEqual(await link.heardEvents(), [1]);
  assert.deepEqual(await link.heardEvents(), [2]);
  await bench.end();
});

test("a frame ends where a number is missing, and the next one begins behind it", async () => {
  const [bench, before, after] = await connected(2, { outbox: { maxBytes: 4096 } });
  const big = (data: number) => ({ type: "t", data, padding: "x".repeat(900) });
  before.ack(0, { limit: 1 });
  for (let count = 1; count <= 4; count += 1) void bench.client.send(big(count));
  await bench.clock.advance(5);
  assert.equal((await before.heardEvents())[0], 1);
  before.break();
  await bench.clock.advance(500);
  await after.welcome({ limit: 1 });
  assert.deepEqual(await after.heardEvents(), [1]);
  void bench.client.send(big(5));
  await idle();
  assert.equal(bench.dropped[0]?.events[0]?.data, 2);
  after.ack(0, { limit: 10 });
  assert.deepEqual(await after.heardEvents(), [3, 4, 5]);
  await bench.end();
});

test("credit of payload bytes is kept to, the last one included, and never falls", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await bench.send(6);
  const bytes = bench.client.state.unsettled.bytes / 6;
  await link.welcome({ limit_bytes: 2 * bytes });
  assert.deepEqual(await link.heardEvents(), [1, 2]);
  link.ack(1, { limit_bytes: 3 * bytes });
  assert.deepEqual(await link.heardEvents(), [3]);
  link.ack(2, { limit: 1, limit_bytes: bytes });
  link.ack(2, { limit: 1_024, limit_bytes: 4 * bytes });
  assert.deepEqual(await link.heardEvents(), [4]);
  await bench.end();
});

test("without credit one event may go when nothing before it is unsettled, whatever its size", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  void bench.client.send({ type: "t", data: "x".repeat(5_000) });
  await bench.send(1);
  await link.welcome({ limit: 0, limit_bytes: 0 });
  assert.deepEqual(await link.heardEvents(), [1]);
  await idle();
  link.ack(1, { limit: 0, limit_bytes: 0 });
  assert.deepEqual(await link.heardEvents(), [2]);
  await bench.end();
});

test("an acknowledgement before WELCOME is no acknowledgement", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before]);
  await before.welcome();
  await bench.send(1);
  assert.deepEqual(await before.heardEvents(), [1]);
  before.break();
  bench.links.push(after);
  while (bench.links.length > 0) await bench.clock.advance(100);
  await after.heard();
  after.ack(1);
  await idle();
  assert.deepEqual([after.open, bench.acknowledgedCount, bench.client.state.unsettled.events], [false, 0, 1]);
  assert.match(bench.message, /before WELCOME/);
  await bench.end();
});
