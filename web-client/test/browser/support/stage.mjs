// All that a scenario plays on: a gateway, the network before it, the application's site, and browsers. Gone with the test.
import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Chromium } from "./chromium.mjs";
import { Firefox } from "./firefox.mjs";
import { binary, Gateway } from "./gateway.mjs";
import { Network } from "./network.mjs";
import { Profile } from "./profile.mjs";
import { serveSite } from "./site.mjs";

const DIST = fileURLToPath(new URL("../../../dist/index.js", import.meta.url));

/** What a test gets. */
export class Stage {
  #test;
  #ends = [];
  gateway;
  network;
  site;

  /** `t`: the test's context. `more`: configuration of the gateway. */
  static async set(t, more = "") {
    const stage = new Stage();
    stage.#test = t;
    await there(binary(), "run `cargo build` first, or set TIDEGATE_BIN");
    await there(DIST, "run `npm run build` first");
    t.after(() => stage.#clear());
    stage.site = await serveSite();
    stage.#ends.push(() => stage.site.stop());
    stage.gateway = await Gateway.start(more);
    stage.#ends.push(() => stage.gateway.stop());
    stage.network = await Network.start(stage.gateway);
    stage.#ends.push(() => stage.network.stop());
    return stage;
  }

  /** An empty profile. */
  async profile() {
    const profile = await Profile.make();
    this.#ends.push(() => profile.remove());
    return profile;
  }

  /** Chromium on `profile`, or on a new one. */
  async chromium(profile) {
    return this.#open(Chromium, profile);
  }

  /** Firefox on `profile`, or on a new one. */
  async firefox(profile) {
    return this.#open(Firefox, profile);
  }

  async #open(browser, profile) {
    const opened = await browser.open(profile ?? (await this.profile()));
    this.#ends.push(() => opened.kill());
    return opened;
  }

  /** What was begun last ends first; one that fails to end does not keep the others. */
  async #clear() {
    const failures = [];
    for (const end of this.#ends.reverse()) await end().catch((error) => failures.push(error));
    if (failures.length > 0) this.#test.diagnostic(`not cleared: ${failures.map(String).join("; ")}`);
  }
}

async function there(file, remedy) {
  await access(file).catch(() => {
    throw new Error(`${file} is missing: ${remedy}`);
  });
}
