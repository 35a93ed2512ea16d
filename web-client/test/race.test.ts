import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { Link, Route, TransportName } from "../src/link/link.js";
import { race } from "../src/link/race.js";
import { FakeClock, idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

/** One route whose opening the test decides. */
interface Attempt {
  readonly startedAt: number;
  readonly signal: AbortSignal;
  succeed(): GatewayEnd;
  fail(why: string): void;
}

let clock: FakeClock;
let attempts: Partial<Record<TransportName, Attempt>>;

beforeEach(() => {
  clock = new FakeClock();
  attempts = {};
});

function route(transport: TransportName): Route {
  const open = (_: URL, signal: AbortSignal) =>
    new Promise<Link>((resolve, reject) => {
      attempts[transport] = {
        startedAt: clock.now(),
        signal,
        succeed: () => {
          const end = new GatewayEnd(transport);
          resolve(end);
          return end;
        },
        fail: (why) => reject(new Error(why)),
      };
    });
  return { transport, url: new URL("https://gateway.test/"), open };
}

function run(names: readonly TransportName[], signal = new AbortController().signal): Promise<Link> {
  return race(names.map(route), { clock, staggerMs: 500, signal });
}

function attempt(name: TransportName): Attempt {
  const found = attempts[name];
  assert(found, `${name} was not tried`);
  return found;
}

test("the first route wins alone where it opens in time", async () => {
  const racing = run(["webtransport", "websocket"]);
  await clock.advance(499);
  attempt("webtransport").succeed();
  assert.equal((await racing).name, "webtransport");
  await clock.advance(10_000);
  assert.deepEqual([attempts.websocket, clock.pending], [undefined, 0]);
});

test("a route that hangs does not hold up the next, and is given up when that wins", async () => {
  const racing = run(["webtransport", "websocket"]);
  await clock.advance(500);
  attempt("websocket").succeed();
  assert.equal((await racing).name, "websocket");
  assert.equal(attempt("webtransport").signal.aborted, true);
});

test("a loser that opens all the same is closed", async () => {
  const racing = run(["webtransport", "websocket"]);
  await clock.advance(500);
  const winner = attempt("websocket").succeed();
  await racing;
  const loser = attempt("webtransport").succeed();
  await idle();
  assert.deepEqual([winner.open, loser.open], [true, false]);
});

test("a route that fails starts the next at once", async () => {
  const racing = run(["webtransport", "websocket", "https"]);
  await clock.advance(100);
  attempt("webtransport").fail("no UDP");
  await idle();
  assert.equal(attempt("websocket").startedAt, 100);
  attempt("websocket").fail("proxy");
  await idle();
  attempt("https").succeed();
  assert.equal((await racing).name, "https");
});

test("one that fails after the next has begun starts nothing", async () => {
  const racing = run(["webtransport", "websocket", "https"]);
  await clock.advance(600);
  attempt("webtransport").fail("no UDP");
  await idle();
  assert.equal(attempts.https, undefined);
  attempt("websocket").succeed();
  await racing;
});

test("HTTPS, which opens without the network, gives the others more time", async () => {
  const racing = run(["webtransport", "websocket", "https"]);
  await clock.advance(2_499);
  assert.equal(attempts.https, undefined);
  await clock.advance(1);
  attempt("https").succeed();
  assert.equal((await racing).name, "https");
});

test("where every route fails, the error has every reason", async () => {
  const racing = assert.rejects(run(["webtransport", "websocket"]), {
    name: "LinkError",
    message: /no UDP.*no proxy/,
  });
  attempt("webtransport").fail("no UDP");
  await idle();
  attempt("websocket").fail("no proxy");
  await racing;
  assert.equal(clock.pending, 0);
  await assert.rejects(run([]), { name: "LinkError" });
});

test("giving up gives up every route", async () => {
  const controller = new AbortController();
  const racing = assert.rejects(run(["webtransport", "websocket", "https"], controller.signal), { name: "LinkError" });
  await clock.advance(500);
  controller.abort();
  await racing;
  assert.deepEqual([attempt("webtransport").signal.aborted, attempt("websocket").signal.aborted], [true, true]);
  assert.equal(clock.pending, 0);
  const late = attempt("webtransport").succeed();
  await idle();
  assert.equal(late.open, false);
  await assert.rejects(run(["https"], controller.signal), { name: "LinkError" });
});
