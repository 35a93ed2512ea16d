import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, connected } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

test("over HTTPS the gateway has as long for WELCOME as its requests may take", async () => {
  const link = new GatewayEnd("https");
  const bench = new Bench([link], {}, { offers: ["https"] });
  await bench.clock.advance(30_000);
  assert.equal(link.open, true);
  await link.welcome();
  await bench.send();
  assert.deepEqual(await link.heardEvents(), [1]);
  link.ack(1);
  await bench.end();
});

test("a client that goes on under another name still ends when everything is settled", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  const { client } = await before.welcome();
  before.say({ type: "close", body: { code: 4006, reason: "taken_over" } });
  await bench.clock.advance(2_000);
  const hello = await after.welcome();
  assert.notEqual(hello.client, client);
  await bench.send();
  assert.deepEqual(await after.heardEvents(), [1]);
  const closed = bench.client.close();
  after.ack(1);
  const heard = [await after.heard(), await after.heard()];
  assert.deepEqual(
    heard.map(({ type }) => type),
    ["report", "close"],
  );
  after.say({ type: "close", body: { code: 4013, reason: "done" } });
  await idle();
  await closed;
});

test("what a request of the leaving page settled does not keep a large event waiting", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after], {}, { offers: ["webtransport", "https"] });
  await before.welcome();
  before.break();
  await idle();
  void bench.client.send({ type: "t", data: 1 });
  void bench.client.send({ type: "t", data: 2 });
  await idle();
  await bench.page.becomes("hidden");
  const [posted] = bench.posted;
  assert.equal(posted?.lines.length, 2);
  await bench.page.becomes("visible");
  await bench.clock.advance(500);
  await after.welcome({ limit_bytes: 10 });
  assert.deepEqual(await after.heardEvents(), [1]);
  posted?.answer(200, { accepted: 2, rejected: [], level: "stored", upto: 2, limit: 100 });
  await idle();
  assert.equal(bench.acknowledgedCount, 2);
  await bench.send(1, 3);
  assert.deepEqual(await after.heardEvents(), [3]);
  after.ack(3, { limit_bytes: 10 });
  await bench.end();
});

test("a link that takes nothing any more does not hold up the end", async () => {
  const [bench, link] = await connected();
  await bench.send(1);
  await link.heardEvents();
  link.ack(1);
  await idle();
  // There is a report to send before CLOSE.
  link.send = () => new Promise(() => {});
  const closed = bench.client.close();
  await bench.clock.advance(2_000);
  assert.equal(bench.status, "closed");
  await closed;
});
