import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { Route, TransportName } from "../src/link/link.js";
import { Preference } from "../src/link/preference.js";

const HOUR_MS = 3_600_000;
let now: number;
let stored: Map<string, string>;

beforeEach(() => {
  now = 1_700_000_000_000;
  stored = new Map();
});

const storage = {
  getItem: (key: string) => stored.get(key) ?? null,
  setItem: (key: string, value: string) => void stored.set(key, value),
};

function preference(origin = "https://a", where: typeof storage | null = storage): Preference {
  return new Preference(origin, { now: () => now, storage: where });
}

const routes = (["webtransport", "websocket", "https"] as const).map(
  (transport): Route => ({ transport, url: new URL("https://a/"), open: async () => Promise.reject(new Error()) }),
);

function order(of: Preference): readonly TransportName[] {
  return of.order(routes).map(({ transport }) => transport);
}

test("nothing known: the gateway's order", () => {
  assert.deepEqual(order(preference()), ["webtransport", "websocket", "https"]);
});

test("the winner is first, in later visits too, and for this gateway alone", () => {
  preference().won("websocket");
  assert.deepEqual(order(preference()), ["websocket", "webtransport", "https"]);
  assert.deepEqual(order(preference("https://b")), ["webtransport", "websocket", "https"]);
});

test("a winner is forgotten after a day, and one from the future is none", () => {
  preference().won("https");
  now += 24 * HOUR_MS - 1;
  assert.equal(order(preference())[0], "https");
  now += 1;
  assert.equal(order(preference())[0], "webtransport");
  now -= 25 * HOUR_MS;
  assert.equal(order(preference())[0], "webtransport");
});

test("without storage, or where it fails or holds nonsense, it remembers by itself", () => {
  const denied = () => {
    throw new Error("denied");
  };
  for (const where of [null, { getItem: denied, setItem: denied }]) {
    const own = preference("https://a", where);
    own.won("https");
    assert.equal(order(own)[0], "https");
  }
  for (const nonsense of ["", "null", "{", '{"transport":1}', "[]"]) {
    stored.set("tidegate:https://a", nonsense);
    assert.equal(order(preference())[0], "webtransport");
  }
});

test("what stalled is last, winner or not, for 60 s and then twice as long each time, up to 30 min", () => {
  const own = preference();
  own.won("webtransport");
  for (const seconds of [60, 120, 240, 480, 960, 1_800, 1_800]) {
    own.stalled("webtransport");
    now += seconds * 1_000 - 1;
    assert.deepEqual(order(own), ["websocket", "https", "webtransport"], `${seconds} s`);
    now += 1;
    assert.deepEqual(order(own), ["webtransport", "websocket", "https"], `${seconds} s`);
  }
});

test("long after the last stall, the next is a first one", () => {
  const own = preference();
  own.stalled("webtransport");
  now += 60_000 + 30 * 60_000;
  own.stalled("webtransport");
  now += 60_000;
  assert.equal(order(own)[0], "webtransport");
});

test("a clock that is set back avoids nothing for longer than 30 min", () => {
  const own = preference();
  own.stalled("webtransport");
  now -= 10 * 24 * HOUR_MS;
  assert.equal(own.betterAfter("websocket", routes), 30 * 60_000);
});

test("a better transport is worth another try when it is not avoided any more", () => {
  const own = preference();
  assert.equal(own.betterAfter("webtransport", routes), null);
  own.stalled("webtransport");
  own.stalled("webtransport");
  now += 20_000;
  assert.equal(own.betterAfter("websocket", routes), 100_000);
  own.stalled("websocket");
  assert.equal(own.betterAfter("https", routes), 60_000, "the soonest of both");
});

test("one that was passed over without a stall is worth a try in a while, never at once", () => {
  assert.equal(preference().betterAfter("https", routes), 60_000);
});

test("a transport that is not among the routes has no better one", () => {
  assert.equal(preference().betterAfter("https", routes.slice(0, 2)), null);
});
