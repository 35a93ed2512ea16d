// The client in a dedicated worker.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

for (const browser of ["chromium", "firefox"]) {
  test(`a worker in ${browser} sends`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site, "?worker");
    await tab.connect(stage.network);
    await tab.send("a", 1, 1_000);
    await tab.flush();
    const { persistent } = await tab.story();
    assert.equal(persistent, true);
    assert.deepEqual(await tab.transports(), ["webtransport"]);
    await tab.closeClient();
    tab.assertQuiet();
    assertArrived(await stage.gateway.settled(1_000), { a: 1_000 });
  });
}
