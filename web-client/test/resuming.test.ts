import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, connected, heardData, START, sayClose } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd, welcomeAgain } from "./support/gateway.js";

test("after a break the client resumes and sends again from upto + 1", async () => {
  const [bench, before, after] = await connected(2);
  await bench.send(3);
  assert.deepEqual(await before.heardEvents(), [1, 2, 3]);
  before.ack(1);
  before.break();
  await idle();
  assert.deepEqual([bench.status, bench.message], ["waiting", "the network is gone"]);
  await bench.clock.advance(500);
  const hello = await after.welcome({ resumed: true, upto: 2 });
  assert.deepEqual([hello.epoch, hello.next], [START, 2]);
  assert.deepEqual(await after.heardEvents(), [3]);
  after.ack(3);
  await idle();
  assert.equal(bench.acknowledgedCount, 3);
  assert.equal(bench.client.state.error, null);
  await bench.end();
});

test("refusals missed during a break come with WELCOME; those it has forgotten are told as unknown", async () => {
  const [bench, before, after] = await connected(2);
  await bench.send(3);
  before.break();
  await bench.clock.advance(500);
  await after.welcome({ upto: 3, rej: [{ seq: 2, code: "unrouted", refused: true, message: "" }], rej_more: true });
  await idle();
  assert.deepEqual(
    bench.refused.map(({ seq, code }) => [seq, code]),
    [
      [1, "unknown"],
      [2, "unrouted"],
    ],
  );
  assert.deepEqual([bench.acknowledged[0]?.first, bench.acknowledgedCount], [3, 1]);
  await bench.end();
});

test("a carrier that cannot tell refusals in WELCOME gets the events again", async () => {
  const [bench, before, after] = await connected(2);
  await bench.send(3);
  before.break();
  await bench.clock.advance(500);
  await after.welcome({ upto: 3, rej: [], rej_more: true });
  assert.deepEqual(await after.heardEvents(), [1, 2, 3]);
  after.ack(3, { list: [{ seq: 2, code: "schema", refused: true, message: "" }] });
  await idle();
  assert.deepEqual([bench.acknowledgedCount, bench.refused.length], [2, 1]);
  await bench.end();
});

test("payload bytes count on each connection from 0, also those sent again", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await bench.send(4);
  const bytes = bench.client.state.unsettled.bytes / 4;
  await before.welcome({ limit_bytes: 2 * bytes });
  assert.deepEqual(await before.heardEvents(), [1, 2]);
  before.break();
  await bench.clock.advance(500);
  await after.welcome({ limit_bytes: 3 * bytes });
  assert.deepEqual(await after.heardEvents(), [1, 2, 3]);
  await bench.end();
});

test("stale_epoch starts a new numbering, in which every event keeps its identity", async () => {
  const [bench, before, after] = await connected(2);
  await bench.send(3);
  before.ack(1);
  await idle();
  sayClose(before, 4007);
  await bench.clock.advance(500);
  const hello = await after.welcome();
  assert((hello.epoch ?? 0) > START);
  assert.equal(hello.next, 1);
  const frame = await after.heard();
  assert(frame.type === "events");
  const events = frame.body.records.map(({ payload }) => JSON.parse(payload));
  assert.deepEqual(
    events.map(({ id, data }) => [id, data]),
    [
      [`web-abc-1-${START}-2`, 2],
      [`web-abc-1-${START}-3`, 3],
    ],
  );
  after.ack(2);
  await idle();
  assert.equal(bench.acknowledgedCount, 3);
  await bench.end();
});

test("a WELCOME beyond what was ever sent means a lost storage: the numbering starts anew, nothing is taken for settled", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await bench.send(2);
  await before.welcome({ resumed: true, upto: 7 });
  await bench.clock.advance(500);
  const hello = await after.welcome();
  assert((hello.epoch ?? 0) > START);
  assert.deepEqual(await heardData(after), [1, 2]);
  assert.equal(bench.acknowledgedCount, 0);
  await bench.end();
});

test("what breaks the protocol settles nothing, and the client comes back", async () => {
  const wrong: [string, (link: GatewayEnd) => void, RegExp][] = [
    ["an ACK of numbers never sent", (link) => link.ack(5), /settles up to 5, at most 2 was sent/],
    ["a second WELCOME", (link) => link.say(welcomeAgain), /WELCOME out of place/],
    ["bytes that are no frame", (link) => link.sayBytes(Uint8Array.of(3, 0)), /no frame of type 3/],
  ];
  for (const [, say, message] of wrong) {
    const [bench, before, after] = await connected(2);
    await bench.send(2);
    await say(before);
    await idle();
    assert.match(bench.message, message);
    assert.equal(bench.client.state.unsettled.events, 2);
    await bench.clock.advance(500);
    await after.welcome();
    assert.deepEqual(await after.heardEvents(), [1, 2]);
    await bench.end();
  }
});

test("a WELCOME that goes backwards or is of another epoch is not believed", async () => {
  for (const welcome of [{ upto: 1 }, { epoch: 5 }]) {
    const [bench, before, after] = await connected(2);
    await bench.send(3);
    before.ack(2);
    before.break();
    await bench.clock.advance(500);
    await after.welcome(welcome);
    await idle();
    assert.match(bench.message, /WELCOME out of place: epoch .*, up to 1|WELCOME out of place: epoch 5/);
    assert.equal(bench.client.state.unsettled.events, 1);
    await bench.end();
  }
});
