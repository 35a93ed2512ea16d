// Processes that a test starts: stopped by their id, and gone with the test however it ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { within } from "./deadline.mjs";

/** Lines of output that are kept for the reader of a failure. */
const KEPT_LINES = 200;

/** Where `setpriv` is, the kernel kills the process together with this one. */
export const TIED = { command: "setpriv", args: ["--pdeathsig", "KILL"] };

/** One process, and the lines it prints on both outputs. */
export class Process {
  #child;
  #lines = [];
  #listeners = new Set();
  #ended;

  constructor(command, args, options = {}) {
    this.#child = spawn(TIED.command, [...TIED.args, command, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    });
    // Its output is complete then, too.
    this.#ended = once(this.#child, "close");
    this.#ended.catch((error) => this.#take(`${command}: ${error.message}`));
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      if (output) createInterface({ input: output }).on("line", (line) => this.#take(line));
    }
  }

  get pid() {
    return this.#child.pid;
  }

  /** The newest lines. */
  get output() {
    return this.#lines.join("\n");
  }

  get running() {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Calls `listener` with every line to come; what it returns ends that. */
  onLine(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first line, of those printed and those to come, that matches. */
  async line(pattern) {
    const printed = this.#lines.map((line) => pattern.exec(line)).find(Boolean);
    if (printed) return printed;
    let forget = () => {};
    const found = new Promise((resolve) => {
      forget = this.onLine((line) => {
        const match = pattern.exec(line);
        if (match) resolve(match);
      });
    });
    const ended = this.#ended.then(([code, signal]) => {
      throw new Error(`ended with ${code ?? signal} before it printed ${pattern}\n${this.output}`);
    });
    try {
      return await within(`line like ${pattern}`, Promise.race([found, ended]), () => this.output);
    } finally {
      forget();
    }
  }

  /** Exit code, once it has ended by itself. */
  async exit() {
    const [code] = await within("end of the process", this.#ended, () => this.output);
    return code;
  }

  signal(name) {
    if (this.running) this.#child.kill(name);
  }

  /** SIGKILL; resolves when it is gone. */
  async stop() {
    this.signal("SIGKILL");
    await within("end of a process that was stopped", this.#ended, () => this.output).catch(() => {});
  }

  #take(line) {
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    for (const listener of this.#listeners) listener(line);
  }
}
