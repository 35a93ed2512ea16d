// Networks that let only some transports through, from the start or from one moment on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertArrived } from "./support/events.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

/** On a quiet machine it takes less than 1 s; this tells a race from one timeout after the other. */
const FIRST_ACKNOWLEDGED_MS_MAX = 15_000;

const BLOCKED = {
  "UDP is blocked": { webSocket: "pass", transport: "websocket" },
  "UDP is blocked and WebSocket refused": { webSocket: "refuse", transport: "https" },
  "UDP is blocked and WebSocket swallowed": { webSocket: "hang", transport: "https" },
};

for (const browser of ["chromium", "firefox"]) {
  test(`blocked transports in ${browser}`, async (t) => {
    const stage = await Stage.set(t);
    const opened = await stage[browser]();
    const sent = {};
    for (const [name, { webSocket, transport }] of Object.entries(BLOCKED)) {
      await t.test(`${name}: ${transport}`, async (t) => {
        stage.network.udp.drop();
        stage.network.blockWebSocket(webSocket);
        const tab = await Tab.open(opened, stage.site);
        // A visit of its own: what another one learned of the network does not help.
        await tab.forget();
        await tab.connect(stage.network, { name: transport });
        await tab.send(name, 1, 100);
        await tab.flush();
        sent[name] = 100;
        const { firstAcknowledgedMs } = await tab.story();
        t.diagnostic(`first event acknowledged after ${Math.round(firstAcknowledgedMs)} ms`);
        assert.ok(firstAcknowledgedMs < FIRST_ACKNOWLEDGED_MS_MAX, `${firstAcknowledgedMs} ms`);
        assert.deepEqual(await tab.transports(), [transport]);
        await tab.closeClient();
        await tab.close();
      });
    }
    assertArrived(await stage.gateway.settled(300), sent);
  });
}

for (const browser of ["chromium", "firefox"]) {
  test(`WebTransport freezes in mid-session in ${browser}: WebSocket goes on, and the gateway is told`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site);
    await tab.connect(stage.network);
    await tab.send("a", 1, 500);
    await tab.flush();
    const before = (await tab.story()).states.length;
    // Some of these are on their way when it happens.
    await tab.sendOn("a", 501, 3_000);
    stage.network.udp.drop();
    await tab.send("a", 3_001, 4_000);
    const { acknowledgements } = await tab.story();
    await tab.reached({ status: "open", transport: "websocket" }, before);
    await tab.flush();
    assert.deepEqual(await tab.transports(), ["webtransport", "websocket"]);
    assertArrived(await stage.gateway.settled(4_000), { a: 4_000 });

    await tab.closeClient();
    // What was told on the frozen link is lost: nothing but acknowledgements from before.
    const told = await stage.gateway.told(
      (metrics) => metrics.sum("tidegate_client_ack_seconds_count") >= 4_000 - acknowledgements,
    );
    assert.ok(told.sum("tidegate_client_ack_seconds_count") <= 4_000);
    assert.equal(told.sum("tidegate_client_switches_total"), 1);
    assert.equal(told.sum("tidegate_client_dropped_total"), 0);
  });
}

for (const browser of ["chromium", "firefox"]) {
  test(`UDP gets through later in ${browser}: WebTransport takes over from WebSocket`, async (t) => {
    const stage = await Stage.set(t);
    const tab = await Tab.open(await stage[browser](), stage.site, "?hurry");
    stage.network.udp.drop();
    await tab.connect(stage.network);
    await tab.send("a", 1, 500);
    await tab.flush();
    stage.network.udp.pass();
    // Events are on their way all the time, while it happens too.
    const taken = tab.reached({ status: "open", transport: "webtransport" });
    let sent = 500;
    for (let over = false; !over; sent += 100) {
      await tab.send("a", sent + 1, sent + 100);
      await tab.acknowledged(sent);
      over = await Promise.race([taken, null]);
    }
    await tab.flush();
    assert.deepEqual(await tab.transports(), ["websocket", "webtransport"]);
    assertArrived(await stage.gateway.settled(sent), { a: sent });
  });
}
