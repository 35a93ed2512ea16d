import assert from "node:assert/strict";
import { test } from "node:test";
import { DiscoveryError, RefusedError } from "../src/index.js";
import { Bench, heardData, START } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

/** Says CLOSE on a link. */
function close(link: GatewayEnd, code: number, more: { reason?: string; msg?: string; retry_ms?: number } = {}): void {
  link.say({ type: "close", body: { code, reason: `code ${code}`, ...more } });
}

test("after a break the client resumes and sends again from upto + 1", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
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
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
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
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
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
  const link = new GatewayEnd();
  const bench = new Bench([link], { batch: { maxBytes: 1024 } });
  await link.welcome();
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
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome();
  await bench.send(3);
  assert.deepEqual(await link.heardEvents(), [1, 2, 3]);
  link.ack(1);
  await idle();
  await bench.send(1);
  assert.deepEqual(await link.heardEvents(), [4]);
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
  const link = new GatewayEnd();
  const bench = new Bench([link], { outbox: { maxBytes: 4096 } });
  await link.welcome();
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

test("PING is answered with the same bytes, frames of later versions are ignored", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome();
  link.say({ type: "unknown" });
  link.say({ type: "ping", body: Uint8Array.of(1, 2, 3) });
  assert.deepEqual(await link.heard(), { type: "pong", body: Uint8Array.of(1, 2, 3) });
  await bench.end();
});

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

test("a gateway that answers PING is not left, however long acknowledgements take", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome();
  await bench.send(1);
  await link.heardEvents();
  for (let round = 0; round < 10; round += 1) {
    await bench.clock.advance(6_000);
    assert.equal((await link.heard()).type, "ping");
    link.say({ type: "pong", body: new Uint8Array() });
  }
  assert.equal(bench.status, "open");
  await bench.end();
});

test("a gateway that fell silent while there was nothing to send is noticed too", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome({ ping_ms: 10_000 });
  await bench.clock.advance(40_000);
  assert.equal(link.open, false);
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
    if (told) close(lesser, 4006);
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
  close(lesser, 4006);
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

for (const [code, advice] of [
  [4002, /update this client or the gateway/],
  [4003, /give a good token to authenticate\(\)/],
  [4011, /allow this page's origin/],
] as const) {
  test(`CLOSE ${code} stops the client, which says what to do and keeps taking events`, async () => {
    const link = new GatewayEnd();
    const bench = new Bench([link, new GatewayEnd()], { token: "bad" });
    await link.heard();
    close(link, code, { msg: "because" });
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
    const [before, after] = [new GatewayEnd(), new GatewayEnd()];
    const bench = new Bench([before, after]);
    await before.welcome();
    await bench.send(1);
    close(before, code);
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
    const [before, after] = [new GatewayEnd(), new GatewayEnd()];
    const bench = new Bench([before, after]);
    await before.welcome();
    close(before, code);
    await bench.clock.advance(60_000);
    assert.deepEqual([bench.status, bench.message, bench.links.length], ["waiting", "", 1]);
    await bench.send(1);
    await bench.clock.advance(500);
    await after.welcome();
    assert.deepEqual(await after.heardEvents(), [1]);
    await bench.end();
  });
}

test("CLOSE overload is waited out as long as the gateway asks, even if somebody looks", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.heard();
  close(before, 4010, { retry_ms: 10_000 });
  await idle();
  await bench.page.becomes("visible");
  await bench.clock.advance(10_000);
  assert.equal(bench.links.length, 1);
  await bench.clock.advance(500);
  assert.equal(bench.links.length, 0);
  await bench.end();
});

test("CLOSE too_large halves the batches, down to single events", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench(links);
  await bench.send(5);
  const sizes: number[] = [];
  for (const link of links) {
    await link.welcome();
    sizes.push((await link.heardEvents()).length);
    close(link, 4008);
    await bench.clock.advance(3_000);
  }
  assert.deepEqual(sizes, [5, 2, 1, 1]);
  await bench.end();
});

test("after GOAWAY nothing is sent, acknowledgements still count, and the client moves on in time", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
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

test("stale_epoch starts a new numbering, in which every event keeps its identity", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
  await bench.send(3);
  before.ack(1);
  await idle();
  close(before, 4007);
  await bench.clock.advance(500);
  const hello = await after.welcome();
  assert((hello.epoch ?? 0) > START);
  assert.equal(hello.next, 1);
  const frame = await after.heard();
  assert(frame.type === "events");
  const events = frame.body.records.map(({ payload }) => JSON.parse(new TextDecoder().decode(payload)));
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

test("a taken-over name is left: without storage the events go on under another one", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
  await bench.send(2);
  close(before, 4006);
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
  close(links[1], 4006);
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
  close(socket, 4006);
  await bench.clock.advance(500);
  assert.equal((await after.welcome()).client, "web-abc-1");
  await bench.end();
});

test("what breaks the protocol settles nothing, and the client comes back", async () => {
  const wrong: [string, (link: GatewayEnd) => void, RegExp][] = [
    ["an ACK of numbers never sent", (link) => link.ack(5), /settles up to 5, at most 2 was sent/],
    ["a second WELCOME", (link) => link.say(welcomeAgain), /a second WELCOME/],
    ["bytes that are no frame", (link) => link.sayBytes(Uint8Array.of(3, 0)), /no frame of type 3/],
  ];
  for (const [, say, message] of wrong) {
    const [before, after] = [new GatewayEnd(), new GatewayEnd()];
    const bench = new Bench([before, after]);
    await before.welcome();
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
    const [before, after] = [new GatewayEnd(), new GatewayEnd()];
    const bench = new Bench([before, after]);
    await before.welcome();
    await bench.send(3);
    before.ack(2);
    before.break();
    await bench.clock.advance(500);
    await after.welcome(welcome);
    await idle();
    assert.match(bench.message, /WELCOME goes back to 1|WELCOME of epoch 5/);
    assert.equal(bench.client.state.unsettled.events, 1);
    await bench.end();
  }
});

test("a gateway that turns the client away again and again is asked ever less often", async () => {
  const ways: ((link: GatewayEnd) => void)[] = [
    (link) => close(link, 4000),
    (link) => close(link, 4007),
    (link) => close(link, 4008),
    (link) => close(link, 4012, { retry_ms: 1 }),
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

test("offline the client waits, for 30 s at most, and comes back at once when the network does", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
  await idle();
  await bench.page.becomes("offline");
  // What is open must show that it is not.
  assert.equal((await before.heard()).type, "ping");
  before.break();
  await bench.clock.advance(500);
  assert.equal(bench.status, "offline");
  await bench.clock.advance(20_000);
  assert.equal(bench.links.length, 1);
  await bench.page.becomes("online");
  await after.welcome();
  await idle();
  assert.equal(bench.status, "open");
  after.break();
  await bench.page.becomes("offline");
  await bench.clock.advance(29_000);
  const third = new GatewayEnd();
  bench.links.push(third);
  await bench.clock.advance(3_000);
  assert.equal(bench.links.length, 0);
  await bench.end();
});

test("a gateway that cannot be found is looked for with growing waits, and why is told", async () => {
  const bench = new Bench([]);
  await idle();
  assert.deepEqual([bench.status, bench.message], ["waiting", "webtransport is blocked"]);
  await bench.clock.advance(60_000);
  assert(bench.tried.length > 4 && bench.tried.length < 14, `${bench.tried.length} attempts`);
  await bench.end();
});

test("a gateway that asks to come back later with its very first answer is obeyed", async () => {
  const bench = new Bench([]);
  let asked = 0;
  bench.routes = () => {
    asked += 1;
    throw new DiscoveryError("answered 503", 10_000);
  };
  await bench.clock.advance(9_900);
  assert.deepEqual([asked, bench.message], [1, "answered 503"]);
  await bench.clock.advance(1_000);
  assert.equal(asked, 2);
  await bench.end();
});

const welcomeAgain = {
  type: "welcome",
  body: {
    v: 1,
    session: "s",
    client: "web-abc-1",
    epoch: START,
    resumed: false,
    upto: 0,
    limit: 10,
    limit_bytes: 10,
    level: "stored",
    rej: [],
    rej_more: false,
    ping_ms: 1,
    idle_ms: 1,
    max_event_bytes: 1,
    max_frame_bytes: 1,
    max_batch_events: 1,
    datagrams: false,
    server_time: 1,
  },
} as const;
