import assert from "node:assert/strict";
import { test } from "node:test";
import type { TokenAnswer } from "../src/index.js";
import { Bench, START } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

/** Answers HELLO with CLOSE `auth`. */
async function refuse(link: GatewayEnd, code = 4003): Promise<string | undefined> {
  const frame = await link.heard();
  assert(frame.type === "hello");
  link.say({ type: "close", body: { code, reason: "auth" } });
  await idle();
  return frame.body.token;
}

test("the token goes with HELLO", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { token: "t.1" });
  assert.equal((await link.welcome()).token, "t.1");
  await bench.end();
});

test("a refused token is asked for afresh once, then the client stops until it gets another one", async () => {
  for (const code of [4003, 4004]) {
    const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
    let asked = 0;
    const bench = new Bench([...links], { token: async () => `t.${++asked}` });
    assert.equal(await refuse(links[0], code), "t.1");
    await bench.clock.advance(500);
    assert.equal(await refuse(links[1], code), "t.2");
    await bench.clock.advance(60_000);
    assert.deepEqual([bench.status, asked], ["stopped", 2]);
    await bench.client.send({ type: "kept" });

    bench.client.authenticate("t.good");
    await idle();
    assert.equal((await links[2].welcome()).token, "t.good");
    assert.deepEqual(await links[2].heardEvents(), [1]);
    assert.equal(bench.client.state.error, null);
    await bench.end();
  }
});

test("a token that is refused in mid-session, having been good, is asked for afresh again", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
  let asked = 0;
  const bench = new Bench([...links], { token: () => `t.${++asked}` });
  for (const [index, link] of links.entries()) {
    assert.equal((await link.welcome()).token, `t.${index + 1}`);
    await bench.send(1);
    await link.heardEvents();
    link.ack(index + 1);
    link.say({ type: "close", body: { code: 4003, reason: "auth" } });
    await idle();
    assert.equal(bench.status, "waiting");
    await bench.clock.advance(500);
  }
  await bench.end();
});

test("a token is renewed on the open link: after 80 % of its life, or 60 s before its end, but not in its first half", async () => {
  for (const [lifeMs, renewalMs] of [
    [200_000, 140_000],
    [1_000_000, 800_000],
    [65_000, 32_500],
    [20_000, 10_000],
    [6_000, 5_000],
  ] as const) {
    const link = new GatewayEnd();
    let asked = 0;
    let now = () => START;
    const token = (): TokenAnswer => ({ token: `t.${++asked}`, expiresAt: new Date(now() + lifeMs) });
    const bench = new Bench([link], { token });
    now = () => START + bench.clock.now();
    await link.welcome({ ping_ms: 10_000_000 });
    await bench.clock.advance(renewalMs - 10);
    assert.equal(asked, 1);
    await bench.clock.advance(20);
    assert.deepEqual(await link.heard(), { type: "reauth", body: { token: "t.2" } });
    await bench.end();
    assert.equal(bench.clock.pending, 0);
  }
});

test("a token function that fails is asked again ever less often, and the state says so", async () => {
  const link = new GatewayEnd();
  let asked = 0;
  let broken = true;
  const token = () => {
    asked += 1;
    if (broken) throw new Error("no network");
    return "t.1";
  };
  const bench = new Bench([link], { token });
  await bench.clock.advance(60_000);
  assert.match(bench.message, /token function: no network/);
  assert(asked > 4 && asked < 14, `asked ${asked} times`);
  assert.equal(bench.status, "waiting");
  broken = false;
  while (bench.links.length > 0) await bench.clock.advance(100);
  assert.equal((await link.welcome()).token, "t.1");
  await idle();
  assert.equal(bench.client.state.error, null);
  await bench.end();
});

test("a renewal that fails leaves the session open, is told, and is tried again", async () => {
  const link = new GatewayEnd();
  let asked = 0;
  const token = (): TokenAnswer => {
    asked += 1;
    if (asked === 2) return { token: "", expiresAt: 0 };
    return { token: `t.${asked}`, expiresAt: START + 1_000_000 };
  };
  const bench = new Bench([link], { token });
  await link.welcome({ ping_ms: 10_000_000 });
  await bench.clock.advance(800_000);
  assert.match(bench.message, /expected a string, or \{ token, expiresAt \}/);
  assert.equal(bench.status, "open");
  await bench.clock.advance(5_000);
  assert.deepEqual(await link.heard(), { type: "reauth", body: { token: "t.3" } });
  assert.equal(bench.client.state.error, null);
  await bench.end();
});

test("a renewal that failed is forgotten when a reconnect brings a token", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  let asked = 0;
  const token = (): TokenAnswer => {
    asked += 1;
    if (asked === 2) throw new Error("no network");
    return { token: `t.${asked}`, expiresAt: START + (asked === 1 ? 20_000 : 1_000_000) };
  };
  const bench = new Bench([before, after], { token }, { random: () => 0.99 });
  await before.welcome();
  await bench.clock.advance(10_000);
  assert.match(bench.message, /no network/);
  before.say({ type: "close", body: { code: 4004, reason: "auth_expired" } });
  await bench.clock.advance(600);
  assert.equal((await after.welcome()).token, "t.3");
  await idle();
  assert.equal(bench.client.state.error, null);
  await bench.end();
});

test("a token function that never answers is given up after 30 s", async () => {
  const bench = new Bench([], { token: () => new Promise<string>(() => {}) });
  await bench.clock.advance(30_000);
  assert.match(bench.message, /token function: no answer within 30 s/);
  await bench.end();
  assert.equal(bench.clock.pending, 0);
});

test("authenticate on an open session replaces its token, and checks it", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link], { token: "t.1" });
  await link.welcome();
  await idle();
  bench.client.authenticate("t.2");
  assert.deepEqual(await link.heard(), { type: "reauth", body: { token: "t.2" } });
  bench.client.authenticate(async () => "t.3");
  assert.deepEqual(await link.heard(), { type: "reauth", body: { token: "t.3" } });
  assert.throws(() => bench.client.authenticate(""), /token: expected/);
  await bench.end();
});

test("a token that is given while the client tells that it has stopped is used at once", async () => {
  const links = [new GatewayEnd(), new GatewayEnd()] as const;
  const bench = new Bench([...links], { token: "t.bad" });
  bench.client.on("state", ({ status }) => {
    if (status === "stopped") bench.client.authenticate("t.good");
  });
  assert.equal(await refuse(links[0]), "t.bad");
  await bench.clock.advance(1_000);
  assert.equal(bench.links.length, 0);
  assert.equal((await links[1].welcome()).token, "t.good");
  await bench.end();
});

test("a token that is given before the gateway refuses the old one is not taken for refused", async () => {
  const links = [new GatewayEnd(), new GatewayEnd(), new GatewayEnd()] as const;
  const bench = new Bench([...links], { token: "t.old" });
  await links[0].heard();
  bench.client.authenticate("t.bad");
  links[0].say({ type: "close", body: { code: 4003, reason: "auth" } });
  await bench.clock.advance(1_000);
  assert.equal(await refuse(links[1]), "t.bad");
  // That one was.
  await bench.clock.advance(60_000);
  assert.deepEqual([bench.status, bench.links.length], ["stopped", 1]);
  await bench.end();
});
