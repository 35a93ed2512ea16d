// From a page into a real Kafka, read back with Kafka's own tools.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Kafka } from "./support/kafka.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const TRANSPORTS = ["webtransport", "websocket", "https"];
const COUNT = 1_000;

test("events of a page are in Kafka, once and in order", async (t) => {
  const kafka = await Kafka.start(t);
  const stage = await Stage.set(t, `kafka.brokers = "${kafka.brokers}"`);
  const browser = await stage.chromium();
  for (const transport of TRANSPORTS) {
    const tab = await Tab.open(browser, stage.site);
    await tab.connect(stage.network, { name: transport, transports: [transport] });
    await tab.send(transport, 1, COUNT);
    await tab.flush();
    const { refusals, drops } = await tab.story();
    assert.deepEqual({ refusals, drops }, { refusals: [], drops: [] });
    await tab.closeClient();
    await tab.close();
  }
  assertArrived(await kafka.consume("events"), Object.fromEntries(TRANSPORTS.map((name) => [name, COUNT])));
});
