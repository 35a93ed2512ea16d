// Parts of the client that are loaded when they are needed, and cannot be had at first.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

for (const browser of ["chromium", "firefox"]) {
  test(`HTTPS that cannot be loaded at first in ${browser}: it is asked for again, and nothing is lost`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site);
    stage.site.broken.add("/dist/https.js");
    await tab.connect(stage.network, { transports: ["https"] });
    await tab.send("a", 1, 50);
    await tab.reached({ status: "waiting" });
    assert.deepEqual(await tab.transports(), []);
    stage.site.broken.clear();
    await tab.flush();
    assert.deepEqual(await tab.transports(), ["https"]);
    assertArrived(await stage.gateway.settled(50), { a: 50 });
  });

  test(`a page that does without HTTPS in ${browser} goes by what it has`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site);
    stage.site.broken.add("/dist/https.js");
    await tab.connect(stage.network);
    await tab.send("a", 1, 50);
    await tab.flush();
    assert.deepEqual(await tab.transports(), ["webtransport"]);
    await tab.closeClient();
    assertArrived(await stage.gateway.settled(50), { a: 50 });
  });
}
