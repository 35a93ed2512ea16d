// Parts of the client that are loaded by it, and cannot be had at first.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

for (const browser of ["chromium", "firefox"]) {
  for (const example of ["module.html", "script-tag.html"]) {
    test(`the example ${example} in ${browser} sends what it says`, async (t) => {
      const stage = await Stage.set(t);
      const page = await (await stage[browser]()).newPage();
      await page.goto(`${stage.site.origin}/${example}?example=${encodeURIComponent(stage.network.endpoint)}`);
      await page.click("button");
      const types = (await stage.gateway.settled(2)).map(({ type }) => type);
      assert.deepEqual(types.sort(), ["button.pressed", "page.view"]);
    });
  }

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

  test(`a session that cannot be loaded at first in ${browser}: events are kept, also over visits, and go when it is there`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site);
    stage.site.broken.add("/dist/session.js");
    await tab.connect(stage.network);
    await tab.send("a", 1, 50);
    const { error } = await tab.reached({ status: "waiting" });
    assert.match(error, /is session\.js served/);
    const { unsettled, persistent } = await tab.story();
    assert.deepEqual([unsettled.events, persistent], [50, true]);
    await tab.leave();
    await tab.return();
    await tab.connect(stage.network);
    await tab.send("a", 51, 100);
    await tab.reached({ status: "waiting" });
    stage.site.broken.clear();
    await tab.flush();
    assertArrived(await stage.gateway.settled(100), { a: 100 });
  });
}
