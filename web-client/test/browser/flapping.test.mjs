// A network that breaks again and again while events are on their way. The gateway lives on, so nothing comes twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const ROUNDS = 5;
const PER_ROUND = 3_000;

const BREAKS = {
  webtransport: (network) => network.udp.rebind(),
  websocket: (network) => network.tcp.cut(),
  https: (network) => network.tcp.cut(),
};

for (const [transport, breaks] of Object.entries(BREAKS)) {
  test(`${transport} that breaks ${ROUNDS} times with events on their way`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage.chromium(), stage.site);
    await tab.connect(stage.network, { transports: [transport] });
    for (let round = 0; round < ROUNDS; round += 1) {
      const first = round * PER_ROUND + 1;
      await tab.sendOn("a", first, first + PER_ROUND - 1);
      await tab.acknowledged(first);
      await breaks(stage.network);
      stage.network.pass();
    }
    await tab.flush();
    const { refusals, drops } = await tab.story();
    assert.deepEqual({ refusals, drops }, { refusals: [], drops: [] });
    assertArrived(await stage.gateway.settled(ROUNDS * PER_ROUND), { a: ROUNDS * PER_ROUND });
  });
}
