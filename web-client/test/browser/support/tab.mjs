// One tab with the client in it: drives test/browser/pages/tab.html in either browser.
import assert from "node:assert/strict";
import { until, within } from "./deadline.mjs";

/** A tab. Calls are awaited with a deadline, and a failure tells what the page saw. */
export class Tab {
  page;
  /** Errors that the page threw, or wrote to its console. */
  complaints = [];
  #url;

  /** Opens a page of the site; `query` is read by pages/tab.html. */
  static async open(browser, site, query = "", file = "tab.html") {
    const tab = new Tab();
    tab.#url = `${site.origin}/${file}${query}`;
    tab.page = await within("new tab", browser.newPage());
    tab.page.on("pageerror", (error) => tab.complaints.push(`page error: ${error.stack ?? error}`));
    tab.page.on("console", (message) => {
      if (message.type() === "error") tab.complaints.push(`console: ${message.text()}`);
    });
    await tab.#goto(tab.#url);
    return tab;
  }

  /** Forgets what earlier visits noted in localStorage. */
  forget() {
    return within(
      "empty localStorage",
      this.page.evaluate(() => localStorage.clear()),
    );
  }

  /** Starts the client in the page. */
  async connect(network, options = {}) {
    await this.call("start", { endpoint: network.endpoint, options });
  }

  /** Sends events `first` to `last` under the name of `tab`; resolves when all are in the outbox and there is room. */
  async send(tab, first, last, padding = 0) {
    await this.call("send", { tab, first, last, padding });
  }

  /** Begins to send, and waits for nothing. */
  async sendOn(tab, first, last, padding = 0) {
    await this.call("sendOn", { tab, first, last, padding });
  }

  /** Sends events that may get lost; resolves with how many were handed over. */
  sendLossy(tab, first, last) {
    return this.call("sendLossy", { tab, first, last });
  }

  async authenticate(token) {
    await this.call("authenticate", { token });
  }

  /** Resolves when all is settled. */
  async flush() {
    await this.call("flush");
  }

  async closeClient() {
    await this.call("close");
  }

  /** Waits for a state that has these members; resolves with it. Those that have passed already count too, unless `from` says where to begin. */
  reached(wanted, from = 0) {
    return this.call("reached", { wanted, from });
  }

  /** Waits until so many events are acknowledged in this page. */
  acknowledged(count) {
    return this.call("acknowledged", { count });
  }

  /** What the page has seen: states, counts, refusals, drops. */
  story() {
    return this.call("story");
  }

  /** The names of the transports it was open over, in order. */
  async transports() {
    const { states } = await this.story();
    const open = states.filter(({ status }) => status === "open").map(({ transport }) => transport);
    return open.filter((name, index) => name !== open[index - 1]);
  }

  /** Goes to another page of the site, and leaves the client as users do. */
  leave() {
    return this.#goto(new URL("elsewhere.html", this.#url).href);
  }

  /** Comes back, by a new visit. */
  return() {
    return this.#goto(this.#url);
  }

  /**
   * Presses the back button, from another page. Resolves with `kept`, whether the page that comes is the one that was left, frozen and
   * kept; if not, `reasons` is why as far as the browser tells.
   */
  async back() {
    await within(
      "back button",
      this.page.evaluate(() => void setTimeout(() => history.back())),
    );
    const look = () => {
      const [{ notRestoredReasons }] = performance.getEntriesByType("navigation");
      const kept = globalThis.driver?.story().states.length > 0;
      return {
        path: location.pathname,
        ready: "driver" in globalThis,
        kept,
        reasons: JSON.stringify(notRestoredReasons),
      };
    };
    const { pathname } = new URL(this.#url);
    return until("page that was left", async () => {
      // It fails where the page changes meanwhile.
      const seen = await this.page.evaluate(look).catch(() => null);
      return seen?.path === pathname && seen.ready && seen;
    });
  }

  /** The user has come back to the tab. */
  async look() {
    await within("tab in front", this.page.bringToFront());
    // A headless Chromium shows all tabs all the time.
    await within(
      "event",
      this.page.evaluate(() => void document.dispatchEvent(new Event("visibilitychange"))),
    );
  }

  close() {
    return within("closed tab", this.page.close());
  }

  assertQuiet() {
    assert.deepEqual(this.complaints, [], "the page complained");
  }

  /** Calls a function of the page's driver. */
  call(name, argument = null) {
    const called = this.page.evaluate(([name, argument]) => globalThis.driver[name](argument), [name, argument]);
    return within(`${name} ${JSON.stringify(argument)}`, called, () => this.#seen());
  }

  async #goto(url) {
    await within(url, this.page.goto(url));
    // A module script runs after the document is parsed, and the page is loaded only after it.
    await within(
      "script of the page",
      this.page.evaluate(() => globalThis.ready),
    );
  }

  async #seen() {
    const story = await this.page.evaluate(() => globalThis.driver.story?.());
    return [JSON.stringify(story), ...this.complaints].join("\n");
  }
}
