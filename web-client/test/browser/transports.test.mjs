// Many events over each transport, in both browsers: each arrives once and in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const TRANSPORTS = ["webtransport", "websocket", "https"];

for (const [browser, count] of Object.entries({ chromium: 10_000, firefox: 1_000 })) {
  test(`${browser} sends ${count} events over each transport`, async (t) => {
    const stage = await Stage.set(t);
    const opened = await stage[browser]();
    const sent = {};
    for (const transport of TRANSPORTS) {
      const tab = await Tab.open(opened, stage.site);
      await tab.connect(stage.network, { name: transport, transports: [transport] });
      const started = performance.now();
      await tab.send(transport, 1, count);
      await tab.flush();
      sent[transport] = count;
      t.diagnostic(`${transport}: ${Math.round((count * 1000) / (performance.now() - started))} events/s`);
      assert.deepEqual(await tab.transports(), [transport]);
      const { acknowledgements, refusals, drops } = await tab.story();
      assert.deepEqual({ acknowledgements, refusals, drops }, { acknowledgements: count, refusals: [], drops: [] });
      tab.assertQuiet();
      await tab.closeClient();
      await tab.close();
    }
    assertArrived(await stage.gateway.settled(count * TRANSPORTS.length), sent);
  });
}
