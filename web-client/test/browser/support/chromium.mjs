// Chromium as a process of ours, on a profile of ours.
import { chromium } from "playwright-core";
import { DEADLINE_MS } from "./deadline.mjs";
import { Process } from "./process.mjs";

const SWITCHES = [
  "--headless",
  // A container rarely lets a browser make the namespaces that its sandbox consists of.
  "--no-sandbox",
  "--remote-debugging-port=0",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-dev-shm-usage",
  "--disable-breakpad",
  "--disable-gpu",
  "--password-store=basic",
  // It talks to this machine alone.
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-default-apps",
  "--disable-extensions",
  "--disable-search-engine-choice-screen",
  "--disable-sync",
  "--metrics-recording-only",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

/** A running browser. */
export class Chromium {
  name = "chromium";
  #process;
  #browser;

  /** Opens `profile`, perhaps again. */
  static async open(profile) {
    const opened = new Chromium();
    const program = process.env.CHROMIUM ?? "/usr/bin/chromium";
    opened.#process = new Process(program, [...SWITCHES, `--user-data-dir=${profile.directory}`, "about:blank"]);
    try {
      const [, url] = await opened.#process.line(/^DevTools listening on (ws:\S+)/);
      opened.#browser = await chromium.connectOverCDP(url, { timeout: DEADLINE_MS });
      opened.context.setDefaultTimeout(DEADLINE_MS);
    } catch (error) {
      await opened.kill();
      throw error;
    }
    return opened;
  }

  /** All tabs of the profile, as playwright sees them. */
  get context() {
    return this.#browser.contexts()[0];
  }

  newPage() {
    return this.context.newPage();
  }

  /** SIGKILL. */
  async kill() {
    await this.#process.stop();
    await this.#browser?.close().catch(() => {});
  }
}
