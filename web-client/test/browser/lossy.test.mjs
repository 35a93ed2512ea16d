// Events that may get lost: none comes twice, and on a good network most arrive.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const COUNT = 20;

for (const browser of ["chromium", "firefox"]) {
  test(`lossy events in ${browser}`, async (t) => {
    const stage = await Stage.set(t);
    const opened = await stage[browser]();
    for (const transport of ["webtransport", "websocket", "https"]) {
      const tab = await Tab.open(opened, stage.site);
      await tab.connect(stage.network, { transports: [transport] });
      await tab.reached({ status: "open" });
      const handed = await tab.sendLossy(transport, 1, COUNT);
      assert.ok(handed > 0, `${handed} handed over`);
      const { drops } = await tab.story();
      assert.equal(drops.filter(({ reason }) => reason === "lossy").length, COUNT - handed);
      // The first of them: the network is not lossy, and there is room for one.
      await stage.gateway.holds(1, ({ data }) => data.tab === transport);
      await tab.closeClient();
      await tab.close();
      const arrived = (await stage.gateway.settled(0)).filter(({ data }) => data.tab === transport);
      assert.equal(new Set(arrived.map(({ data }) => data.n)).size, arrived.length);
      assert.ok(arrived.length <= handed, `${arrived.length} of ${handed}`);
      t.diagnostic(`${transport}: ${COUNT} sent, ${handed} handed over, ${arrived.length} arrived`);
    }
  });
}
