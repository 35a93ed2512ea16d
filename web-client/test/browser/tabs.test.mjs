// Several tabs of one profile share the outbox, and none takes another's events while that one lives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./support/deadline.mjs";
import { assertArrived, clients } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const NAMES = ["a", "b", "c"];
/** A closed tab says no farewell, and its connection ends when the network does: what arrives of it, another one has sent. */
const OPTIONS = { farewell: false, transports: ["websocket"] };

for (const browser of ["chromium", "firefox"]) {
  test(`three tabs at once in ${browser}; one is closed offline, and another adopts its events`, async (t) => {
    const stage = await Stage.set(t);
    const opened = await stage[browser]();
    const tabs = [];
    for (const _ of NAMES) tabs.push(await Tab.open(opened, stage.site));
    await Promise.all(
      tabs.map(async (tab, index) => {
        await tab.connect(stage.network, OPTIONS);
        await tab.send(NAMES[index], 1, 1_000);
        await tab.flush();
      }),
    );
    const events = await stage.gateway.settled(3_000);
    assertArrived(events, { a: 1_000, b: 1_000, c: 1_000 });
    assert.equal(clients(events).size, 3);
    for (const tab of tabs) tab.assertQuiet();

    const before = (await tabs[2].story()).states.length;
    stage.network.cut();
    await tabs[2].reached({ status: "waiting" }, before);
    await tabs[0].send("a", 1_001, 1_100);
    await tabs[2].send("c", 1_001, 1_100);
    await tabs[2].close();
    stage.network.pass();
    await tabs[0].flush();
    await until("adoption", async () => {
      // Its user closes one tab and looks at the other.
      await tabs[0].look();
      return (await stage.gateway.metrics()).sum("tidegate_events_total", 'outcome="stored"') >= 3_200;
    });
    const all = await stage.gateway.settled(3_200);
    assertArrived(all, { a: 1_100, b: 1_000, c: 1_100 });
    assert.equal(clients(all).size, 3);
  });
}
