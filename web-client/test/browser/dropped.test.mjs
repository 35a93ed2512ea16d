// What the client gave up, the page is told and the gateway's operator too.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./support/deadline.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

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
  await until("report of the client", async () => {
    const metrics = await stage.gateway.metrics();
    return metrics.sum("tidegate_client_dropped_total", 'reason="overflow"') === dropped;
  });
});
