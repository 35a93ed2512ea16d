// Browsers that keep nothing: the client works from memory, and nobody notices.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const COUNT = 500;

for (const browser of ["chromium", "firefox"]) {
  test(`storage that is denied or missing in ${browser}`, async (t) => {
    const stage = await Stage.set(t);
    const opened = await stage[browser]();
    const kinds = ["throws", "missing"];
    for (const kind of kinds) {
      const tab = await Tab.open(opened, stage.site, `?storage=${kind}`);
      await sendsFromMemory(tab, stage, kind);
    }
    assertArrived(await stage.gateway.settled(COUNT * 2), { throws: COUNT, missing: COUNT });
  });
}

test("a Chromium that blocks all storage by its settings", async (t) => {
  const stage = await Stage.set(t);
  const profile = await stage.profile();
  await profile.denyStorage();
  const tab = await Tab.open(await stage.chromium(profile), stage.site);
  const error = await tab.page.evaluate(() => {
    try {
      return String(localStorage);
    } catch (error) {
      return error.name;
    }
  });
  assert.equal(error, "SecurityError", "the browser denies storage");
  await sendsFromMemory(tab, stage, "a");
  assertArrived(await stage.gateway.settled(COUNT), { a: COUNT });
});

async function sendsFromMemory(tab, stage, name) {
  await tab.connect(stage.network);
  await tab.send(name, 1, COUNT);
  await tab.flush();
  assert.equal((await tab.story()).persistent, false);
  await tab.closeClient();
  tab.assertQuiet();
  await tab.close();
}
