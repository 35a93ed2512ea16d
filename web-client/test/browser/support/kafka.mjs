// One broker of the real Kafka, started by scripts/kafka and read with Kafka's own tools.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "./deadline.mjs";
import { Process } from "./process.mjs";

const SCRIPT = new URL("../../../../scripts/kafka", import.meta.url).pathname;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** A broker, gone with the test. */
export class Kafka {
  #libs;
  brokers;

  static async start(t) {
    const kafka = new Kafka();
    const directory = await mkdtemp(join(tmpdir(), `tidegate-kafka-${process.pid}-`));
    const [port, controller] = await freePorts();
    const node = new Process(SCRIPT, [
      ...["node", "1", directory, `1@127.0.0.1:${controller}`, `${port}`, `${controller}`],
      ...["offsets.topic.replication.factor=1", "log.retention.ms=-1"],
    ]);
    t.after(async () => {
      await node.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    });
    await until(
      "port of Kafka",
      () => {
        if (!node.running) throw new Error(`Kafka ended:\n${node.output}`);
        return answers(port);
      },
      () => node.output,
    );
    const { stdout } = await promisify(execFile)(SCRIPT, ["fetch"]);
    kafka.#libs = join(stdout.trim(), "libs", "*");
    kafka.brokers = `127.0.0.1:${port}`;
    return kafka;
  }

  /** Every record's value of a topic with one partition, in order. */
  async consume(topic) {
    // Its end tells how many there are, so that reading them needs no waiting for more.
    const end = await this.#tool("org.apache.kafka.tools.GetOffsetShell", ["--topic", topic]);
    const [, partition, count] = end.trim().split(":");
    if (partition !== "0" || end.trim().includes("\n")) throw new Error(`more than one partition: ${end}`);
    const values = await this.#tool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
      ...["--topic", topic, "--from-beginning", "--max-messages", count],
    ]);
    return values
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  async #tool(name, args) {
    const java = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", this.#libs, name];
    const { stdout } = await promisify(execFile)("java", [...java, "--bootstrap-server", this.brokers, ...args], {
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return stdout;
  }
}

/** Whether something listens there. That it is ready too, the gateway waits for. */
async function answers(port) {
  const socket = connect(port, "127.0.0.1");
  return once(socket, "connect").then(
    () => {
      socket.destroy();
      return true;
    },
    () => false,
  );
}

/** Two ports that are free now; the broker has to be told them. Both are held until the second is found, so that they differ. */
async function freePorts() {
  const servers = [createServer(), createServer()];
  for (const server of servers) await once(server.listen(0, "127.0.0.1"), "listening");
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) await once(server.close(), "close");
  return ports;
}
