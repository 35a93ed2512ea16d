// What clients report of themselves, the gateway's operator sees.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

for (const transport of ["webtransport", "websocket"]) {
  test(`a session over ${transport} is reported event by event`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage.chromium(), stage.site);
    await tab.connect(stage.network, { transports: [transport] });
    await tab.send("a", 1, 1_000);
    await tab.flush();
    await tab.closeClient();
    const told = await stage.gateway.told((metrics) => metrics.sum("tidegate_client_ack_seconds_count") >= 1_000);
    assert.equal(told.sum("tidegate_client_ack_seconds_count"), 1_000);
    assert.ok(told.sum("tidegate_client_ack_seconds_sum") > 0);
    assert.equal(told.sum("tidegate_client_switches_total"), 0);
    assert.equal(told.sum("tidegate_client_dropped_total"), 0);
    assertArrived(await stage.gateway.settled(1_000), { a: 1_000 });
  });
}

test("an outbox that overflows offline drops the oldest events, and says so", async (t) => {
  const stage = await Stage.set(t);
  const tab = await Tab.open(await stage.chromium(), stage.site);
  stage.network.cut();
  await tab.connect(stage.network, { outbox: { maxBytes: 256 * 1024 } });
  // Nobody waits for room that does not come.
  await tab.sendOn("a", 1, 100, 10 * 1024);
  stage.network.pass();
  await tab.flush();
  const { drops } = await tab.story();
  const dropped = drops.reduce((sum, { count }) => sum + count, 0);
  assert.deepEqual([...new Set(drops.map(({ reason }) => reason))], ["overflow"]);
  assert.ok(dropped > 50 && dropped < 100, `${dropped} dropped`);
  const left = Array.from({ length: 100 - dropped }, (_, index) => dropped + index + 1);
  const events = await stage.gateway.settled(left.length);
  assert.deepEqual(
    events.map(({ data }) => data.n),
    left,
  );
  await tab.closeClient();
  await stage.gateway.told((metrics) => metrics.sum("tidegate_client_dropped_total", 'reason="overflow"') === dropped);
});
