// Events of a page without a network outlive its tab, and its browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

test("a tab that never was online is closed: the next visit sends its events", async (t) => {
  const stage = await Stage.set(t);
  const browser = await stage.chromium();
  const tab = await Tab.open(browser, stage.site);
  stage.network.cut();
  await browser.context.setOffline(true);
  await tab.connect(stage.network);
  await tab.send("a", 1, 500);
  assert.equal((await tab.story()).persistent, true);
  await tab.close();

  await browser.context.setOffline(false);
  stage.network.pass();
  const next = await Tab.open(browser, stage.site);
  await next.connect(stage.network);
  assertArrived(await stage.gateway.settled(500), { a: 500 });
  await next.send("b", 1, 10);
  await next.flush();
  assertArrived(await stage.gateway.settled(510), { a: 500, b: 10 });
});

for (const browser of ["chromium", "firefox"]) {
  test(`${browser} is killed offline: the next visit sends what was left`, async (t) => {
    const stage = await Stage.set(t);
    const profile = await stage.profile();
    const killed = await stage[browser](profile);
    const tab = await Tab.open(killed, stage.site);
    await tab.connect(stage.network);
    await tab.send("a", 1, 100);
    await tab.flush();
    stage.network.cut();
    await tab.send("a", 101, 600);
    await killed.kill();

    stage.network.pass();
    const next = await Tab.open(await stage[browser](profile), stage.site);
    await next.connect(stage.network);
    assertArrived(await stage.gateway.settled(600), { a: 600 });
    await next.send("b", 1, 10);
    await next.flush();
    assertArrived(await stage.gateway.settled(610), { a: 600, b: 10 });
  });
}

test("the browser says it is offline, and online again: the same tab goes on", async (t) => {
  const stage = await Stage.set(t);
  const browser = await stage.chromium();
  const tab = await Tab.open(browser, stage.site);
  await tab.connect(stage.network);
  await tab.send("a", 1, 100);
  await tab.flush();
  stage.network.cut();
  await browser.context.setOffline(true);
  await tab.send("a", 101, 600);
  await tab.reached({ status: "offline" });
  stage.network.pass();
  await browser.context.setOffline(false);
  await tab.flush();
  assertArrived(await stage.gateway.settled(600), { a: 600 });
});
