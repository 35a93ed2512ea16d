// A page is left with events in the outbox, and visited again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

/** A link takes so much and no more until it is acknowledged, so that most of the outbox is left when the link stalls. */
const SMALL_CREDIT = 'limits.max_event_bytes = "64KiB"\nlimits.credit_bytes = "64KiB"';
/** The same, counted in events. */
const FEW_CREDIT = "limits.credit_events = 4\nlimits.credit_events_max = 4";
/** What browsers let all `fetch(keepalive)` of a page carry. */
const KEEPALIVE_BYTES_MAX = 64 * 1024;
const COUNT = 200;
const PADDING = 1024;
const VISITS = 10;
const BACKS_MAX = 10;
/** For every chunk, each way. */
const SLOW_MS = 200;

for (const browser of ["chromium", "firefox"]) {
  test(`${browser} leaves a page with 200 KiB unsent: some go at once, the rest with the next visit`, async (t) => {
    const stage = await Stage.set(t, SMALL_CREDIT);
    const tab = await Tab.open(await stage[browser](), stage.site);
    await tab.connect(stage.network);
    await tab.send("a", 1, 10);
    await tab.flush();
    // The session stalls; a new connection would go through.
    stage.network.udp.drop();
    stage.network.tcp.freeze({ newToo: false });
    await tab.send("a", 11, 10 + COUNT, PADDING);
    await tab.leave();
    await stage.gateway.holds(11);
    const carried = (await stage.gateway.settled(11)).slice(10);
    const bytes = JSON.stringify(carried).length;
    t.diagnostic(`on leaving: ${carried.length} events, ${bytes} bytes as they are stored`);
    assert.ok(carried.length < COUNT && carried.length * PADDING < KEEPALIVE_BYTES_MAX, `${carried.length} events`);

    stage.network.pass();
    await tab.return();
    await tab.connect(stage.network);
    assertArrived(await stage.gateway.settled(10 + COUNT), { a: 10 + COUNT });
  });

  test(`${browser} leaves a page while events crawl through a slow network: none is lost or comes twice`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site);
    stage.network.udp.drop();
    await tab.connect(stage.network);
    await tab.send("a", 1, 10);
    await tab.flush();
    stage.network.tcp.delay(SLOW_MS);
    await tab.sendOn("a", 11, 10 + COUNT, PADDING);
    await tab.acknowledged(11);
    await tab.leave();
    stage.network.pass();
    await tab.return();
    await tab.connect(stage.network);
    await tab.send("b", 1, 10);
    await tab.flush();
    assertArrived(await stage.gateway.settled(20 + COUNT), { a: 10 + COUNT, b: 10 });
  });

  test(`${browser} leaves a page that sends in its own pagehide: that is posted with the rest`, async (t) => {
    const stage = await Stage.set(t, FEW_CREDIT);
    const tab = await Tab.open(await stage[browser](), stage.site);
    await tab.connect(stage.network);
    await tab.send("a", 1, 10);
    await tab.flush();
    stage.network.udp.drop();
    stage.network.tcp.freeze({ newToo: false });
    await tab.send("a", 11, 19);
    await tab.call("sendAsItGoes", { tab: "a", first: 20, last: 29, padding: 0 });
    await tab.leave();
    assertArrived(await stage.gateway.settled(29), { a: 29 });
  });

  test(`${browser} visits a page ${VISITS} times and waits for nothing: all arrives once`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site);
    const sent = {};
    for (let visit = 1; visit <= VISITS; visit += 1) {
      await tab.connect(stage.network);
      await tab.send(`visit ${visit}`, 1, 200);
      sent[`visit ${visit}`] = 200;
      await tab.return();
    }
    await tab.connect(stage.network);
    assertArrived(await stage.gateway.settled(VISITS * 200), sent);
  });
}

// Firefox keeps no page that holds a lock or has a connection open: there the back button is a visit like any other.
test("chromium comes back to a page by the back button: its client goes on", async (t) => {
  const stage = await Stage.set(t);
  const tab = await Tab.open(await stage.chromium(), stage.site);
  let sent = 0;
  let isKept = false;
  // Chromium may always decide to keep none.
  for (let attempt = 0; attempt < BACKS_MAX && !isKept; attempt += 1) {
    await tab.connect(stage.network);
    await tab.send("a", sent + 1, sent + 100);
    await tab.flush();
    sent += 100;
    await tab.leave();
    const { kept, reasons } = await tab.back();
    if (!kept) t.diagnostic(`not kept: ${reasons}`);
    isKept = kept;
  }
  assert.ok(isKept, "Chromium kept the page");
  await tab.send("a", sent + 1, sent + 100);
  await tab.flush();
  assertArrived(await stage.gateway.settled(sent + 100), { a: sent + 100 });
});
