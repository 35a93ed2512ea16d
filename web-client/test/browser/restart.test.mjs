// The gateway ends while events come in, and comes back on other ports and with another certificate.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived, assertArrivedAtLeastOnce } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

for (const transport of ["webtransport", "websocket", "https"]) {
  test(`the gateway is killed and started anew under ${transport}`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage.chromium(), stage.site);
    await tab.connect(stage.network, { transports: [transport] });
    const before = stage.gateway.ports;
    for (let round = 0; round < 3; round += 1) {
      const first = round * 3_000 + 1;
      await tab.sendOn("a", first, first + 1_999);
      await tab.acknowledged(first);
      await stage.gateway.kill();
      await tab.sendOn("a", first + 2_000, first + 2_999);
      await stage.gateway.launch();
    }
    await tab.flush();
    assert.notDeepEqual(stage.gateway.ports, before);
    const events = await stage.gateway.settled(9_000);
    t.diagnostic(`${events.length - 9_000} events were sent again`);
    assertArrivedAtLeastOnce(events, { a: 9_000 });
    const { refusals, drops } = await tab.story();
    assert.deepEqual({ refusals, drops }, { refusals: [], drops: [] });
  });
}

for (const transport of ["webtransport", "websocket", "https"]) {
  test(`the gateway is asked to end, and started anew under ${transport}: nothing comes twice`, async (t) => {
    const stage = await Stage.set(t, "shutdown.reconnect_jitter_ms = 500");
    const tab = await Tab.open(await stage.chromium(), stage.site);
    await tab.connect(stage.network, { transports: [transport] });
    await tab.sendOn("a", 1, 5_000);
    await tab.acknowledged(1);
    await stage.gateway.terminate();
    await tab.sendOn("a", 5_001, 6_000);
    await stage.gateway.launch();
    await tab.flush();
    assertArrived(await stage.gateway.settled(6_000), { a: 6_000 });
  });
}
