// A gateway process on free ports, that can be killed and started again on what it has stored.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { until, within } from "./deadline.mjs";
import { parseMetrics } from "./metrics.mjs";
import { Process } from "./process.mjs";

const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;

/** One gateway and the directory it lives in. */
export class Gateway {
  #directory;
  #more;
  #process = null;
  /** Ports of the process that runs now. */
  ports = { secure: 0, plain: 0, ops: 0 };

  /** Starts one on the embedded log; `more` is configuration. */
  static async start(more = "") {
    const gateway = new Gateway();
    gateway.#directory = await mkdtemp(join(tmpdir(), "tidegate-browsers-"));
    gateway.#more = more;
    try {
      await gateway.launch();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  /** Starts the process, again where it had ended; on other ports unless told `this.ports`. Resolves when it is ready. */
  async launch(ports = { secure: 0, plain: 0, ops: 0 }) {
    await writeFile(this.#config, configuration(this.#directory, ports, this.#more));
    const started = new Process(binary(), ["--config", this.#config]);
    this.#process = started;
    const [secure, plain, ops] = await Promise.all(["secure", "plain", "ops"].map((name) => listening(started, name)));
    this.ports = { secure, plain, ops };
    await until(
      "readiness of the gateway",
      async () => {
        if (!started.running) throw new Error(`the gateway ended:\n${started.output}`);
        const answer = await fetch(`http://127.0.0.1:${ops}/readyz`).catch(() => null);
        return answer?.ok;
      },
      () => started.output,
    );
  }

  /** Other configuration, from the next `launch` on. */
  configure(more) {
    this.#more = more;
  }

  /** SIGKILL: nothing is flushed, nobody is told. */
  async kill() {
    await this.#process?.stop();
  }

  /** SIGTERM; resolves once it has settled what it had received, and ended. */
  async terminate() {
    this.#process.signal("SIGTERM");
    const code = await this.#process.exit();
    if (code !== 0) throw new Error(`the gateway ended with ${code}:\n${this.output}`);
  }

  /** What the process says in its log. */
  get output() {
    return this.#process?.output ?? "";
  }

  /** Every event of the log, oldest first. */
  async events() {
    const tail = await promisify(execFile)(binary(), ["tail", "--config", this.#config], {
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return parseLines(tail.stdout);
  }

  /** Waits until `count` events are in the log, of those that `fit`. There may be more by then: `settled` says what it comes to. */
  async holds(count, fit = () => true) {
    const tail = new Process(binary(), ["tail", "--follow", "--from", "1", "--config", this.#config]);
    let seen = 0;
    try {
      await within(
        `log of ${count} events`,
        new Promise((resolve) => {
          tail.onLine((line) => {
            if (fit(JSON.parse(line))) seen += 1;
            if (seen >= count) resolve();
          });
        }),
        () => `it has ${seen}\n${this.output}`,
      );
    } finally {
      await tail.stop();
    }
  }

  /** The log, once `count` events are in it and nothing is under way any more. If they do not come, the log as it is: it tells which. */
  async settled(count) {
    if (count > 0) await this.holds(count).catch(() => {});
    await until(
      "rest of the gateway",
      async () => (await this.metrics()).sum("tidegate_events_in_flight") === 0,
      () => this.output,
    );
    return this.events();
  }

  /** What `/metrics` says now. */
  async metrics() {
    const answer = await fetch(`http://127.0.0.1:${this.ports.ops}/metrics`);
    return parseMetrics(await answer.text());
  }

  /** The first metrics that `hold`, for what clients report in their own time. */
  async told(hold) {
    let metrics;
    return until(
      "report of the client",
      async () => {
        metrics = await this.metrics();
        return hold(metrics) && metrics;
      },
      () => metrics.text("tidegate_client"),
    );
  }

  /** Ends it, and removes what it stored. */
  async stop() {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #config() {
    return join(this.#directory, "tidegate.toml");
  }
}

/** The binary that is tried: `TIDEGATE_BIN`, or what `cargo build` made last. */
export function binary() {
  const target =
    process.env.CARGO_TARGET_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tidegate/target");
  return process.env.TIDEGATE_BIN ?? join(target, "debug/tidegate");
}

async function listening(started, name) {
  const [, port] = await started.line(new RegExp(`\\b${name}: 127\\.0\\.0\\.1:(\\d+)`));
  return Number(port);
}

function configuration(directory, { secure, plain, ops }, more) {
  const text = JSON.stringify;
  return `listen.secure = "127.0.0.1:${secure}"
listen.plain = "127.0.0.1:${plain}"
listen.ops = "127.0.0.1:${ops}"
listen.quic_key = ${text(join(directory, "quic.key"))}
sessions.snapshot = ${text(join(directory, "sessions.snapshot"))}
log.directory = ${text(join(directory, "log"))}
log.segment_bytes = "4MiB"
${more}
`;
}

function parseLines(text) {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
