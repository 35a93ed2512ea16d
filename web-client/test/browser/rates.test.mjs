// A gateway that lets a client send so fast and no faster: everything arrives, over each transport and without a change of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

const PER_SECOND = 300;
const COUNT = 1_500;
/** What a client may be ahead of its rate: a burst, and a window of credit as large. */
const AHEAD = 2 * PER_SECOND;

test("a client that is faster than its rate waits, and nothing of it is refused or lost", async (t) => {
  const stage = await Stage.set(t, `rates.client.events_per_second = ${PER_SECOND}`);
  const opened = await stage.chromium();
  const sent = {};
  for (const transport of ["webtransport", "websocket", "https"]) {
    const tab = await Tab.open(opened, stage.site);
    await tab.connect(stage.network, { name: transport, transports: [transport] });
    const started = performance.now();
    await tab.send(transport, 1, COUNT);
    await tab.flush();
    sent[transport] = COUNT;
    const took = performance.now() - started;
    t.diagnostic(`${transport}: ${Math.round((COUNT * 1_000) / took)} events/s`);
    assert.ok(took >= ((COUNT - AHEAD - 100) * 1_000) / PER_SECOND, `${transport} took ${took} ms`);
    assert.deepEqual(await tab.transports(), [transport]);
    const { acknowledgements, refusals, drops } = await tab.story();
    assert.deepEqual({ acknowledgements, refusals, drops }, { acknowledgements: COUNT, refusals: [], drops: [] });
    // Over HTTPS the browser itself complains of every 429.
    if (transport !== "https") tab.assertQuiet();
    await tab.closeClient();
    await tab.close();
  }
  assertArrived(await stage.gateway.settled(COUNT * 3), sent);
});
