// Gateways that let a page in only with a token, or not at all.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { assertArrived } from "./support/events.mjs";
import { binary } from "./support/gateway.mjs";
import { Stage } from "./support/stage.mjs";
import { Tab } from "./support/tab.mjs";

for (const browser of ["chromium", "firefox"]) {
  test(`a token in ${browser}: refused, replaced, and all is sent`, async (t) => {
    const { token, config } = await newToken();
    const stage = await Stage.set(t, config);
    const opened = await stage[browser]();
    const sent = {};
    for (const transport of ["webtransport", "websocket", "https"]) {
      const tab = await Tab.open(opened, stage.site);
      await tab.connect(stage.network, { transports: [transport], token: "web.wrong" });
      await tab.send(transport, 1, 100);
      const { error } = await tab.reached({ status: "stopped" });
      t.diagnostic(`${transport}: ${error}`);
      await tab.authenticate(token);
      await tab.flush();
      sent[transport] = 100;
      await tab.closeClient();
      await tab.close();
    }
    assertArrived(await stage.gateway.settled(300), sent);
  });

  test(`a page of a foreign origin in ${browser}: nothing gets in before it is allowed`, async (t) => {
    const stage = await Stage.set(t, 'origins.allow = ["https://app.example.com"]');
    const tab = await Tab.open(await stage[browser](), stage.site);
    await tab.connect(stage.network);
    await tab.send("a", 1, 100);
    // Browsers do not tell a page why no transport lets it in; the gateway does when it is asked.
    const { error } = await tab.reached({ status: "stopped" });
    t.diagnostic(error);
    assert.ok(error.includes(`${stage.site.origin} is not allowed`), error);
    assert.ok(error.includes("[origins] allow"), error);
    assert.deepEqual(await tab.transports(), []);
    assert.deepEqual(await stage.gateway.settled(0), []);

    await stage.gateway.kill();
    stage.gateway.configure(`origins.allow = ["${stage.site.origin}"]`);
    await stage.gateway.launch();
    await tab.return();
    await tab.connect(stage.network);
    await tab.send("b", 1, 1);
    await tab.flush();
    assertArrived(await stage.gateway.settled(101), { a: 100, b: 1 });
  });
}

async function newToken() {
  const { stdout } = await promisify(execFile)(binary(), ["token", "--id", "web"]);
  const [token, ...lines] = stdout.trim().split("\n");
  return { token, config: `auth.mode = "tokens"\n${lines.join("\n")}` };
}
