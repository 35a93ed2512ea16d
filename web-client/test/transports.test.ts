import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, heardData, sayClose } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

test("a stalled transport is left for the next one, which gets what is not acknowledged", async () => {
  const [silent, next] = [new GatewayEnd("webtransport"), new GatewayEnd("websocket")];
  const bench = new Bench([silent, next], {}, { offers: ["webtransport", "websocket"] });
  await silent.welcome();
  await bench.send(2);
  await silent.heardEvents();
  await bench.clock.advance(6_000);
  assert.equal((await silent.heard()).type, "ping");
  await bench.clock.advance(5_000);
  assert.equal(silent.open, false);
  await bench.clock.advance(500);
  await next.welcome();
  assert.deepEqual(await next.heardEvents(), [1, 2]);
  assert.deepEqual(bench.tried, ["webtransport", "websocket"]);
  assert.equal(bench.client.state.transport, "websocket");
  await bench.end();
});

test("the next transport is tried when one cannot be opened or does not answer HELLO", async () => {
  const [silent, working] = [new GatewayEnd("websocket"), new GatewayEnd("https")];
  const bench = new Bench([silent, working], {}, { offers: ["webtransport", "websocket", "https"] });
  await silent.heard();
  await bench.clock.advance(5_000);
  assert.equal(silent.open, false);
  await working.welcome();
  await idle();
  assert.deepEqual(bench.tried, ["webtransport", "websocket", "webtransport", "https"]);
  assert.equal(bench.client.state.transport, "https");
  await bench.end();
});

for (const told of [true, false]) {
  test(`a better transport takes over later without loss or repetition, the old link ${told ? "" : "not "}being told`, async () => {
    const [lesser, better] = [new GatewayEnd("websocket"), new GatewayEnd("webtransport")];
    const bench = new Bench([lesser], {}, { offers: ["webtransport", "websocket"] });
    await lesser.welcome();
    await bench.send(2);
    assert.deepEqual(await lesser.heardEvents(), [1, 2]);
    lesser.ack(1);
    lesser.say({ type: "pong", body: new Uint8Array() });
    bench.links.push(better);
    // The rest of a minute, with a gateway that answers.
    for (let second = 0; second < 61; second += 1) {
      await bench.clock.advance(1_000);
      lesser.say({ type: "pong", body: new Uint8Array() });
    }
    void bench.client.send({ type: "t", data: 3 });
    await bench.clock.advance(10);
    // Meanwhile the old link carries no events, and is taken over from.
    const hello = await better.welcome({ resumed: true, upto: 2 });
    if (told) sayClose(lesser, 4006);
    assert.deepEqual([hello.client, hello.next], ["web-abc-1", 2]);
    assert.deepEqual(await heardData(better), [3]);
    better.ack(3);
    await idle();
    assert.equal(lesser.open, false);
    await assert.rejects(lesser.heardEvents(), /closed the link/);
    assert.deepEqual([bench.status, bench.client.state.transport], ["open", "webtransport"]);
    assert.equal(bench.acknowledgedCount, 3);
    assert.equal(bench.client.state.client, "web-abc-1");
    assert.equal(
      bench.states.some(({ status }) => status === "waiting"),
      false,
    );
    await bench.end();
  });
}

test("a takeover of our own that comes to nothing is no other instance", async () => {
  const [lesser, better, after] = [new GatewayEnd("websocket"), new GatewayEnd(), new GatewayEnd("websocket")];
  const bench = new Bench([lesser], {}, { offers: ["webtransport", "websocket"] });
  await lesser.welcome();
  bench.links.push(better);
  await bench.clock.advance(60_000);
  await better.heard();
  sayClose(lesser, 4006);
  better.break();
  await idle();
  bench.links.push(after);
  await bench.clock.advance(1_000);
  assert.equal((await after.welcome()).client, "web-abc-1");
  await bench.end();
});

test("a better transport that opens and does not answer changes nothing", async () => {
  const [lesser, silent] = [new GatewayEnd("websocket"), new GatewayEnd("webtransport")];
  const bench = new Bench([lesser], {}, { offers: ["webtransport", "websocket"] });
  await lesser.welcome();
  bench.links.push(silent);
  await bench.clock.advance(60_000);
  await silent.heard();
  void bench.client.send({ type: "t" });
  await bench.clock.advance(4_000);
  lesser.say({ type: "pong", body: new Uint8Array() });
  await bench.clock.advance(2_000);
  assert.equal(silent.open, false);
  assert.deepEqual(await lesser.heardEvents(), [1]);
  assert.deepEqual([bench.status, bench.client.state.transport], ["open", "websocket"]);
  await bench.end();
});

test("a connection that would take over ends with the client", async () => {
  const controller = new AbortController();
  const [socket, heir] = [new GatewayEnd("websocket"), new GatewayEnd("webtransport")];
  const offers = ["webtransport", "websocket"] as const;
  const bench = new Bench([socket], { signal: controller.signal }, { offers });
  await socket.welcome({ ping_ms: 1_000_000 });
  bench.links.push(heir);
  while (bench.links.length > 0) await bench.clock.advance(1_000);
  assert.equal((await heir.heard()).type, "hello");
  socket.break();
  await idle();
  controller.abort();
  await idle();
  assert.deepEqual([heir.open, bench.status, bench.clock.pending], [false, "closed", 0]);
});

test("a client that is closed does not wait for a connection that would take over", async () => {
  const [socket, heir] = [new GatewayEnd("websocket"), new GatewayEnd("webtransport")];
  const bench = new Bench([socket], {}, { offers: ["webtransport", "websocket"] });
  await socket.welcome({ ping_ms: 1_000_000 });
  bench.links.push(heir);
  while (bench.links.length > 0) await bench.clock.advance(1_000);
  assert.equal((await heir.heard()).type, "hello");
  const closed = bench.client.close();
  await idle();
  socket.say({ type: "close", body: { code: 4013, reason: "done" } });
  await closed;
  assert.deepEqual([heir.open, bench.clock.pending], [false, 0]);
});
