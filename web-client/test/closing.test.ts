import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError, RefusedError } from "../src/index.js";
import type { SlotState } from "../src/outbox/store.js";
import { Bench, connected, heardData, START, sayClose } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd, welcomeAgain } from "./support/gateway.js";
import { keptLease } from "./support/lease.js";

for (const [code, advice] of [
  [4002, /update this client or the gateway/],
  [4003, /give a good token to authenticate\(\)/],
  [4011, /allow this page's origin/],
] as const) {
  test(`CLOSE ${code} stops the client, which says what to do and keeps taking events`, async () => {
    const link = new GatewayEnd();
    const bench = new Bench([link, new GatewayEnd()], { token: "bad" });
    await link.heard();
    sayClose(link, code, { msg: "because" });
    await bench.clock.advance(60_000);
    assert.equal(bench.status, "stopped");
    assert(bench.client.state.error instanceof RefusedError);
    assert.equal(bench.client.state.error.code, code);
    assert.match(bench.message, /because/);
    assert.match(bench.message, advice);
    assert.equal(bench.links.length, 1);
    await bench.client.send({ type: "t" });
    assert.equal(bench.client.state.unsettled.events, 1);
    await bench.end();
  });
}

for (const code of [4000, 4001, 4005, 4012, 4999]) {
  test(`after CLOSE ${code} the client comes back, and sends again what is not acknowledged`, async () => {
    const [bench, before, after] = await connected(2);
    await bench.send(1);
    sayClose(before, code);
    await idle();
    assert.deepEqual([bench.status, bench.message], ["waiting", `code ${code}`]);
    await bench.clock.advance(500);
    await after.welcome();
    assert.deepEqual(await after.heardEvents(), [1]);
    await bench.end();
  });
}

for (const code of [4009, 4013]) {
  test(`after CLOSE ${code} the client comes back when there is something to send`, async () => {
    const [bench, before, after] = await connected(2);
    sayClose(before, code);
    await bench.clock.advance(60_000);
    assert.deepEqual([bench.status, bench.message, bench.links.length], ["waiting", "", 1]);
    await bench.send(1);
    await bench.clock.advance(500);
    await after.welcome();
    assert.deepEqual(await after.heardEvents(), [1]);
    await bench.end();
  });
}

test("a client that is aborted while it rests stays closed, and leaves no timer behind", async () => {
  const controller = new AbortController();
  const [bench, before] = await connected(2, { signal: controller.signal });
  sayClose(before, 4009);
  await idle();
  assert.equal(bench.status, "waiting");
  controller.abort();
  await idle();
  assert.deepEqual([bench.status, bench.clock.pending], ["closed", 0]);
  await bench.clock.advance(60_000);
  assert.deepEqual([bench.status, bench.links.length], ["closed", 1]);
});

test("CLOSE overload is waited out as long as the gateway asks, even if somebody looks", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.heard();
  sayClose(before, 4010, { retry_ms: 10_000 });
  await idle();
  await bench.page.becomes("visible");
  await bench.clock.advance(10_000);
  assert.equal(bench.links.length, 1);
  await bench.clock.advance(500);
  assert.equal(bench.links.length, 0);
  await bench.end();
});

test("CLOSE too_large halves the batches; an event that is too large alone is refused, and the rest goes as before", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
  const bench = new Bench([...links]);
  await bench.send(5);
  const sizes: number[] = [];
  for (const link of links.slice(0, 3)) {
    await link.welcome();
    sizes.push((await link.heardEvents()).length);
    sayClose(link, 4008);
    await bench.clock.advance(3_000);
  }
  assert.deepEqual(sizes, [5, 2, 1]);
  const [, , , last] = links;
  await last.welcome();
  // What is refused here is given up there.
  assert.deepEqual(await last.heard(), { type: "events", body: { first_seq: 2, records: [] } });
  assert.deepEqual(await last.heardEvents(), [2, 3, 4, 5]);
  last.ack(5);
  await idle();
  assert.deepEqual(
    bench.refused.map(({ seq, code, event }) => [seq, code, event.data]),
    [[1, "too_large", 1]],
  );
  assert.equal(bench.acknowledgedCount, 4);
  await bench.end();
});

test("CLOSE too_large of one among several single frames refuses none before each went alone", async () => {
  const [bench, before, after] = await connected(2, { batch: { maxEvents: 1 } });
  await bench.send(3);
  for (const seq of [1, 2, 3]) assert.deepEqual(await before.heardEvents(), [seq]);
  sayClose(before, 4008);
  await bench.clock.advance(500);
  await after.welcome({ upto: 1 });
  assert.deepEqual(await after.heardEvents(), [2]);
  // Nothing else is on its way before that one is settled.
  after.say({ type: "ping", body: new Uint8Array() });
  assert.equal((await after.heard()).type, "pong");
  after.ack(2);
  assert.deepEqual(await after.heardEvents(), [3]);
  after.ack(3);
  await idle();
  assert.deepEqual([bench.acknowledgedCount, bench.refused.length], [3, 0]);
  await bench.end();
});

test("CLOSE too_large before anything was sent refuses nothing", async () => {
  const [bench, before, after] = await connected(2);
  sayClose(before, 4008);
  await idle();
  await bench.send(2);
  await bench.clock.advance(500);
  await after.welcome();
  assert.deepEqual(await after.heardEvents(), [1, 2]);
  await bench.end();
});

test("after GOAWAY nothing is sent, acknowledgements still count, and the client moves on in time", async () => {
  const [bench, before, after] = await connected(2);
  await bench.send(1);
  await before.heardEvents();
  before.say({ type: "goaway", body: { after_ms: 1_000, jitter_ms: 2_000 } });
  await idle();
  await bench.send(1);
  before.ack(1);
  await idle();
  assert.equal(bench.acknowledgedCount, 1);
  await bench.clock.advance(1_900);
  assert.equal(before.open, true);
  await bench.clock.advance(400);
  assert.equal((await after.welcome()).next, 2);
  await assert.rejects(before.heardEvents(), /closed the link/);
  assert.deepEqual(await after.heardEvents(), [2]);
  await bench.end();
});

test("GOAWAY with a URL leads to that gateway, for one attempt", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench(links);
  await links[0]?.welcome();
  links[0]?.say({ type: "goaway", body: { after_ms: 0, jitter_ms: 0, url: "https://other.test/" } });
  await bench.clock.advance(1_000);
  await links[1]?.welcome();
  links[1]?.break();
  await bench.clock.advance(2_000);
  assert.deepEqual(bench.dialled, ["http://gateway.test/", "https://other.test/", "http://gateway.test/"]);
  await bench.end();
});

test("a taken-over name is left: without storage the events go on under another one", async () => {
  const [bench, before, after] = await connected(2);
  await bench.send(2);
  sayClose(before, 4006);
  await bench.clock.advance(500);
  const hello = await after.welcome();
  assert.notEqual(hello.client, "web-abc-1");
  assert.deepEqual(await heardData(after), [1, 2]);
  assert.equal(bench.client.state.client, hello.client);
  await bench.end();
});

test("a takeover just after another connection of our own is that one's, come late", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
  const bench = new Bench([...links]);
  await links[0].welcome();
  await bench.send(1);
  links[0].break();
  await bench.clock.advance(500);
  await links[1].welcome();
  await bench.clock.advance(1_000);
  sayClose(links[1], 4006);
  await bench.clock.advance(1_000);
  assert.equal((await links[2].welcome()).client, "web-abc-1");
  await bench.clock.advance(20_000);
  await bench.end();
});

test("a request of our own may take over for a minute", async () => {
  const [https, socket, after] = [new GatewayEnd("https"), new GatewayEnd("websocket"), new GatewayEnd("websocket")];
  const bench = new Bench([https], {}, { offers: ["websocket", "https"] });
  await https.welcome();
  https.break();
  bench.links.push(socket, after);
  await bench.clock.advance(500);
  await socket.welcome();
  await bench.clock.advance(40_000);
  sayClose(socket, 4006);
  await bench.clock.advance(500);
  assert.equal((await after.welcome()).client, "web-abc-1");
  await bench.end();
});

test("a gateway that turns the client away again and again is asked ever less often", async () => {
  const ways: ((link: GatewayEnd) => void)[] = [
    (link) => sayClose(link, 4000),
    (link) => sayClose(link, 4007),
    (link) => sayClose(link, 4008),
    (link) => sayClose(link, 4012, { retry_ms: 1 }),
    (link) => link.say({ type: "goaway", body: { after_ms: 0, jitter_ms: 0 } }),
    (link) => link.break(),
    (link) => link.ack(1_000),
    (link) => link.say(welcomeAgain),
  ];
  for (const way of ways) {
    const links = Array.from({ length: 100 }, () => new GatewayEnd());
    const bench = new Bench(links);
    await bench.send(1);
    for (const link of links) {
      if (bench.clock.now() > 5 * 60_000) break;
      await link.welcome();
      way(link);
      while (bench.status === "open" || (link.open && bench.clock.now() < 1)) await bench.clock.advance(10);
      for (let ms = 0; ms < 40_000 && bench.links.length === 100 - links.indexOf(link) - 1; ms += 100) {
        await bench.clock.advance(100);
      }
    }
    assert(100 - bench.links.length < 30, `${100 - bench.links.length} connections in 5 minutes`);
    await bench.end();
  }
});

test("closing drops what is in memory alone, and says so", async () => {
  const [bench, link] = await connected();
  await bench.send(3);
  link.ack(1);
  const flushed = assert.rejects(bench.client.flush(), ClosedError);
  await bench.end();
  await flushed;
  assert.deepEqual(
    bench.dropped.map(({ reason, events }) => [reason, events.map(({ data }) => data)]),
    [["closed", [2, 3]]],
  );
  assert.deepEqual(bench.client.state.unsettled, { events: 0, bytes: 0 });
});

test("closing drops nothing that is stored", async () => {
  let left: SlotState | undefined;
  const state = { client: "web-abc-1", epoch: START, upto: 0, last: 0, events: [] };
  const lease = async () =>
    keptLease(state, (kept) => {
      left = kept;
    });
  const [bench] = await connected(1, {}, { slots: { persistent: true, adopt: async () => null, lease } });
  await bench.send(2);
  await bench.end();
  assert.deepEqual([bench.dropped, left?.events.length], [[], 2]);
});
