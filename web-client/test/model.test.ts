import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench } from "./support/bench.js";
import { type Faults, ModelGateway } from "./support/model.js";

const none: Faults = { breaks: 0, closes: 0, stalls: 0, goaways: 0, unopened: 0, forgets: 0 };
const EVENTS = 300;

/** Numbers in 0..1 that are the same in every run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sends through a gateway with these faults until everything is settled, and gives back what became durable. */
async function log(seed: number, faults: Partial<Faults>): Promise<readonly unknown[]> {
  const random = seeded(seed);
  const bench = new Bench([], {}, { random });
  const gateway = new ModelGateway(bench.clock, random, { ...none, ...faults });
  bench.routes = () => gateway.routes();
  let sent = 0;
  while (sent < EVENTS) {
    for (let burst = Math.ceil(random() * 30); burst > 0 && sent < EVENTS; burst -= 1) {
      sent += 1;
      void bench.client.send({ type: "t", data: sent });
    }
    await bench.clock.advance(random() * 300);
  }
  for (let minutes = 0; bench.client.state.unsettled.events > 0; minutes += 1) {
    assert(minutes < 60, `seed ${seed}: ${JSON.stringify(bench.client.state)}`);
    await bench.clock.advance(60_000);
  }
  assert.equal(bench.acknowledgedCount, EVENTS, `seed ${seed}`);
  gateway.faults = none;
  await bench.end();
  assert.equal(bench.clock.pending, 0, `seed ${seed}`);
  return gateway.log;
}

const kinds: Record<string, Partial<Faults>> = {
  "links that break": { breaks: 0.1 },
  "a gateway that closes": { closes: 0.1 },
  "links that stall": { stalls: 0.05 },
  "a gateway that goes away": { goaways: 0.1 },
  "networks that block": { unopened: 0.5, breaks: 0.02 },
  "all of it": { breaks: 0.04, closes: 0.04, stalls: 0.02, goaways: 0.02, unopened: 0.3 },
};
const expected = Array.from({ length: EVENTS }, (_, index) => index + 1);

for (const [kind, faults] of Object.entries(kinds)) {
  test(`with ${kind} every event arrives once and in order`, async () => {
    for (let seed = 1; seed <= 5; seed += 1) assert.deepEqual(await log(seed, faults), expected, `seed ${seed}`);
  });
}

test("with a gateway that forgets what it knew every event still arrives", async () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const arrived = new Set(await log(seed, { breaks: 0.1, stalls: 0.02, forgets: 0.5 }));
    assert.deepEqual(
      expected.filter((data) => !arrived.has(data)),
      [],
      `seed ${seed}`,
    );
  }
});
