// Firefox as a process of ours, on a profile of ours.
import { once } from "node:events";
import puppeteer from "puppeteer-core";
import { DEADLINE_MS, within } from "./deadline.mjs";
import { TIED } from "./process.mjs";

/** A running browser. */
export class Firefox {
  name = "firefox";
  #browser;

  /** Opens `profile`, perhaps again. */
  static async open(profile) {
    const opened = new Firefox();
    const program = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
    opened.#browser = await puppeteer.launch({
      browser: "firefox",
      executablePath: `/usr/bin/${TIED.command}`,
      ignoreDefaultArgs: true,
      args: [...TIED.args, program, "--headless", "--profile", profile.directory, "--remote-debugging-port=0"],
      timeout: DEADLINE_MS,
      protocolTimeout: DEADLINE_MS,
    });
    return opened;
  }

  newPage() {
    return this.#browser.newPage();
  }

  /** SIGKILL. */
  async kill() {
    const child = this.#browser.process();
    const running = child.exitCode === null && child.signalCode === null;
    const ended = once(child, "exit");
    if (running && child.kill("SIGKILL")) await within("end of Firefox", ended);
    await this.#browser.disconnect();
  }
}
