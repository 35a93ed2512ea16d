import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EventTooLargeError,
  QueueFullError,
  type Route,
  Session,
  SessionClosedError,
  type SessionOptions,
  type SessionState,
} from "../src/index.js";
import { FakeClock, idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

/** A session whose n-th link is `links[n]`; without one the gateway cannot be reached. */
class Bench {
  readonly clock = new FakeClock();
  readonly states: SessionState[] = [];
  readonly session: Session;
  readonly links: GatewayEnd[];
  opened = 0;

  constructor(links: GatewayEnd[], options: Partial<SessionOptions> = {}) {
    this.links = links;
    this.session = new Session({
      endpoint: new URL("http://gateway.test"),
      client: "test",
      clock: this.clock,
      random: () => 0.5,
      dial: async () => [this.#route()],
      onState: (state) => this.states.push(state),
      ...options,
    });
  }

  #route(): Route {
    return {
      transport: "webtransport",
      url: new URL("https://gateway.test/v1/stream"),
      open: async () => {
        const link = this.links[this.opened];
        if (!link) throw new Error("unreachable");
        this.opened += 1;
        return link;
      },
    };
  }

  get status(): string {
    return this.session.state.status;
  }
}

const moved = { type: "pointer.moved", data: { x: 1, y: 2 } };

test("an event goes out after WELCOME and settles with its acknowledgement", async () => {
  const link = new GatewayEnd();
  const { session, states } = new Bench([link]);
  const sent = session.send(moved);
  const hello = await link.welcome();
  assert.deepEqual([hello.v, hello.client, hello.epoch, hello.next], [1, "test", undefined, 1]);

  const events = await link.heard();
  assert(events.type === "events");
  assert.equal(events.body.first_seq, sent.seq);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(events.body.records[0]?.payload)), moved);
  assert.equal(session.unsettled, 1);

  link.ack(1, { level: "stored" });
  assert.deepEqual(await sent.settled, { seq: 1, outcome: "acknowledged", level: "stored" });
  assert.equal(session.unsettled, 0);
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connecting", "open"],
  );
  assert.equal(session.state.transport, "webtransport");
  await closed(session, link);
});

test("a refused event settles as refused and holds up nothing", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link]);
  const first = session.send(moved);
  const second = session.send(moved);
  await link.welcome();
  link.ack(0, { list: [{ seq: 1, code: "schema", refused: true, message: "x: expected a number" }] });
  link.ack(2, { list: [{ seq: 2, code: "sampled", refused: false, message: "" }] });
  assert.deepEqual(await first.settled, {
    seq: 1,
    outcome: "refused",
    code: "schema",
    message: "x: expected a number",
  });
  assert.equal((await second.settled).outcome, "acknowledged");
  await closed(session, link);
});

test("a client name that no gateway takes is refused at once", () => {
  for (const client of ["", "a b", "x".repeat(129)]) assert.throws(() => new Bench([], { client }), RangeError);
});

test("after a break the session resumes and sends again from upto + 1", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const { session, clock } = new Bench([before, after]);
  await before.welcome({ epoch: 42 });
  const sent = [session.send(moved), session.send(moved), session.send(moved)];
  assert.deepEqual(await before.heardEvents(), [1]);
  assert.deepEqual(await before.heardEvents(), [2, 3]);
  before.ack(1);
  await sent[0]?.settled;
  before.break();
  await idle();
  assert.equal(session.state.message, "the network is gone");
  await clock.advance(500);

  const hello = await after.welcome({ epoch: 42, resumed: true, upto: 2 });
  assert.deepEqual([hello.epoch, hello.next], [42, 2]);
  assert.equal((await sent[1]?.settled)?.outcome, "acknowledged");
  assert.deepEqual(await after.heardEvents(), [3]);
  after.ack(3);
  assert.equal((await sent[2]?.settled)?.outcome, "acknowledged");
  await closed(session, after);
});

test("refusals missed during a break come with WELCOME; forgotten ones make older outcomes unknown", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const { session, clock } = new Bench([before, after]);
  await before.welcome();
  const sent = [session.send(moved), session.send(moved), session.send(moved)];
  await before.heardEvents();
  before.break();
  await clock.advance(500);
  const rej = [{ seq: 2, code: "unrouted", refused: true, message: "" }];
  await after.welcome({ upto: 3, rej, rej_more: true });
  const outcomes = await Promise.all(sent.map(async ({ settled }) => (await settled).outcome));
  assert.deepEqual(outcomes, ["unknown", "refused", "acknowledged"]);
  await closed(session, after);
});

test("no event goes beyond credit, and more credit lets the rest go", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link]);
  for (let count = 0; count < 5; count += 1) session.send(moved);
  await link.welcome({ limit: 2 });
  assert.deepEqual(await link.heardEvents(), [1, 2]);
  link.ack(0, { limit: 4, reason: "broker" });
  assert.deepEqual(await link.heardEvents(), [3, 4]);
  assert.equal(session.state.reason, "broker");
  link.ack(4, { limit: 4 });
  // Nothing is unsettled any more, so one event is free.
  assert.deepEqual(await link.heardEvents(), [5]);
  assert.equal(session.state.reason, "ok");
  await closed(session, link);
});

test("payload bytes count on each connection from 0, also those sent again", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const { session, clock } = new Bench([before, after]);
  const bytes = JSON.stringify(moved).length;
  for (let count = 0; count < 4; count += 1) session.send(moved);
  await before.welcome({ limit_bytes: 2 * bytes });
  assert.deepEqual(await before.heardEvents(), [1, 2]);
  before.break();
  await clock.advance(500);
  await after.welcome({ limit_bytes: 3 * bytes });
  assert.deepEqual(await after.heardEvents(), [1, 2, 3]);
  await closed(session, after);
});

test("an event that fits no frame is given up and reported, and the next one goes", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link]);
  const large = session.send({ type: "large", data: "x".repeat(2_000) });
  const small = session.send(moved);
  await link.welcome({ max_frame_bytes: 1_000 });
  const frame = await link.heard();
  assert(frame.type === "events");
  assert.deepEqual([frame.body.first_seq, frame.body.records.length], [2, 0]);
  assert.deepEqual(await link.heardEvents(), [2]);
  link.ack(2);
  const settlement = await large.settled;
  assert(settlement.outcome === "refused");
  assert.equal(settlement.code, "too_large");
  assert.equal((await small.settled).outcome, "acknowledged");
  await closed(session, link);
});

test("PING is answered with the same bytes", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link]);
  await link.welcome();
  link.say({ type: "ping", body: Uint8Array.of(1, 2, 3) });
  assert.deepEqual(await link.heard(), { type: "pong", body: Uint8Array.of(1, 2, 3) });
  await closed(session, link);
});

test("silence with events waiting is asked about, then left", async () => {
  const [silent, next] = [new GatewayEnd(), new GatewayEnd()];
  const { session, clock } = new Bench([silent, next]);
  session.send(moved);
  await silent.welcome();
  await silent.heardEvents();
  await clock.advance(5_000);
  assert.equal((await silent.heard()).type, "ping");
  await clock.advance(6_000);
  assert.equal(silent.open, false);
  await next.welcome();
  assert.deepEqual(await next.heardEvents(), [1]);
  await closed(session, next);
});

test("a gateway that never answers HELLO is left", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.heard();
  await bench.clock.advance(5_000);
  assert.equal(link.open, false);
  assert.equal(bench.status, "waiting");
  assert.match(bench.session.state.message ?? "", /did not answer within 5 s/);
  await bench.session.close();
});

for (const code of [4002, 4003, 4006, 4007, 4011, 4013]) {
  test(`CLOSE ${code} is final`, async () => {
    const link = new GatewayEnd();
    const bench = new Bench([link, new GatewayEnd()]);
    const { settled } = bench.session.send(moved);
    await link.heard();
    link.say({ type: "close", body: { code, reason: "because" } });
    assert.deepEqual(await settled, { seq: 1, outcome: "unknown" });
    assert.deepEqual([bench.status, bench.session.state.message], ["closed", "because"]);
    await bench.clock.advance(60_000);
    assert.equal(bench.opened, 1);
    assert.throws(() => bench.session.send(moved), SessionClosedError);
  });
}

test("CLOSE overload is waited out as long as the gateway asks", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.heard();
  before.say({ type: "close", body: { code: 4010, reason: "overload", retry_ms: 10_000 } });
  await idle();
  await bench.clock.advance(10_000);
  assert.equal(bench.opened, 1);
  await bench.clock.advance(500);
  assert.equal(bench.opened, 2);
  await after.welcome();
  await closed(bench.session, after);
});

test("after GOAWAY nothing is sent, acknowledgements still count, and the session moves on in time", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  const first = bench.session.send(moved);
  await before.welcome();
  await before.heardEvents();
  before.say({ type: "goaway", body: { after_ms: 1_000, jitter_ms: 2_000 } });
  await idle();
  bench.session.send(moved);
  before.ack(1);
  assert.equal((await first.settled).outcome, "acknowledged");
  await bench.clock.advance(1_999);
  assert.equal(before.open, true);
  await bench.clock.advance(300);
  const hello = await after.welcome();
  assert.equal(hello.next, 2);
  await assert.rejects(before.heard(), /closed the link/);
  assert.deepEqual(await after.heardEvents(), [2]);
  await closed(bench.session, after);
});

test("bytes that are no frame end the connection, not the session", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
  before.sayBytes(Uint8Array.of(0x03, 0x00));
  await idle();
  assert.equal(before.open, false);
  assert.match(bench.session.state.message ?? "", /no frame of type 0x03/);
  await bench.clock.advance(500);
  await after.welcome();
  await closed(bench.session, after);
});

test("a frame of a later version is ignored", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link]);
  const { settled } = session.send(moved);
  await link.welcome();
  link.say({ type: "unknown" });
  link.ack(1);
  assert.equal((await settled).outcome, "acknowledged");
  await closed(session, link);
});

test("an acknowledgement of numbers never given out settles nothing", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link]);
  session.send(moved);
  await link.welcome();
  link.ack(2);
  await idle();
  assert.equal(link.open, false);
  assert.match(session.state.message ?? "", /settles up to 2, the last event is 1/);
  assert.equal(session.unsettled, 1);
  await session.close();
});

test("the next transport is tried when one cannot be opened or stays silent", async () => {
  const [silent, working] = [new GatewayEnd("webtransport"), new GatewayEnd("websocket")];
  const url = new URL("https://gateway.test/");
  const { session, clock } = new Bench([], {
    dial: async () => [
      { transport: "webtransport", url, open: () => Promise.reject(new Error("UDP is blocked")) },
      { transport: "webtransport", url, open: async () => silent },
      { transport: "websocket", url, open: async () => working },
    ],
  });
  await silent.heard();
  await clock.advance(5_000);
  await working.welcome();
  await idle();
  assert.equal(session.state.transport, "websocket");
  await closed(session, working);
});

test("a transport that hangs while opening is aborted after 3 s", async () => {
  let aborted = false;
  const url = new URL("https://gateway.test/");
  const { session, clock } = new Bench([], {
    dial: async () => [
      {
        transport: "webtransport",
        url,
        open: (_, signal) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => {
              aborted = true;
              reject(new Error("given up"));
            });
          }),
      },
    ],
  });
  await idle();
  await clock.advance(3_000);
  assert.equal(aborted, true);
  assert.equal(session.state.status, "waiting");
  await session.close();
});

test("a full queue and an event beyond the gateway's limit are refused before they get a number", async () => {
  const link = new GatewayEnd();
  const { session } = new Bench([link], { limits: { events: 1, bytes: 1_000_000 } });
  await link.welcome({ max_event_bytes: 1_000 });
  await idle();
  assert.throws(() => session.send({ type: "large", data: "x".repeat(1_000) }), EventTooLargeError);
  const { seq, settled } = session.send(moved);
  assert.equal(seq, 1);
  assert.throws(() => session.send(moved), QueueFullError);
  link.ack(1);
  await settled;
  assert.equal(session.send(moved).seq, 2);
  await closed(session, link);
});

test("closing says CLOSE done, takes the last acknowledgement, and leaves no timer behind", async () => {
  const link = new GatewayEnd();
  const { session, clock } = new Bench([link]);
  const { settled } = session.send(moved);
  await link.welcome();
  await link.heardEvents();
  const done = session.close();
  assert.deepEqual(await link.heard(), { type: "close", body: { code: 4013, reason: "done" } });
  link.ack(1);
  link.say({ type: "close", body: { code: 4013, reason: "done" } });
  await done;
  assert.equal((await settled).outcome, "acknowledged");
  assert.equal(session.state.status, "closed");
  assert.equal(link.open, false);
  assert.equal(clock.pending, 0);
});

/** Ends a test's session so that nothing of it lives on. */
async function closed(session: Session, link: GatewayEnd): Promise<void> {
  const done = session.close();
  link.say({ type: "close", body: { code: 4013, reason: "done" } });
  await done;
}
