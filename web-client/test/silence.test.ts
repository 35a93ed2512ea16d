import assert from "node:assert/strict";
import { test } from "node:test";
import { DiscoveryError } from "../src/index.js";
import { Bench, connected } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

test("PING is answered with the same bytes, frames of later versions are ignored", async () => {
  const [bench, link] = await connected();
  link.say({ type: "unknown" });
  link.say({ type: "ping", body: Uint8Array.of(1, 2, 3) });
  assert.deepEqual(await link.heard(), { type: "pong", body: Uint8Array.of(1, 2, 3) });
  await bench.end();
});

test("a gateway that answers PING is not left, however long acknowledgements take", async () => {
  const [bench, link] = await connected();
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

test("offline the client waits, for 30 s at most, and comes back at once when the network does", async () => {
  const [bench, before, after] = await connected(2);
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

test("silence is no matter while nothing waits", async () => {
  const [bench, link] = await connected();
  await bench.clock.advance(60_000);
  assert.deepEqual([bench.status, link.open], ["open", true]);
  await bench.end();
});

test("a tab whose timers come once a minute notices that the link is dead", async () => {
  const [bench, link] = await connected(2);
  await bench.send(1);
  await link.heardEvents();
  await bench.clock.sleep(60_000);
  assert.equal((await link.heard()).type, "ping");
  assert.equal(link.open, true);
  await bench.clock.sleep(60_000);
  assert.equal(link.open, false);
  assert.match(bench.message, /fell silent/);
  await bench.end();
});

test("a tab whose timers come once a minute stays on a link that is not dead", async () => {
  const [bench, link] = await connected();
  for (let minutes = 0; minutes < 5; minutes += 1) {
    await bench.clock.sleep(60_000);
    assert.equal((await link.heard()).type, "ping");
    link.say({ type: "pong", body: new Uint8Array() });
  }
  assert.equal(bench.status, "open");
  await bench.end();
});
