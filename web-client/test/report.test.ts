import assert from "node:assert/strict";
import { test } from "node:test";
import { newReporter, type Reporter } from "../src/report.js";
import type { Report } from "../src/wire/frames.js";
import { Bench } from "./support/bench.js";
import { idle } from "./support/clock.js";
import { GatewayEnd } from "./support/gateway.js";

async function heardReport(link: GatewayEnd): Promise<Report> {
  const frame = await link.heard();
  assert(frame.type === "report", frame.type);
  return frame.body;
}

/** What a reporter has to tell; `null`: nothing. */
async function told(reporter: Reporter, taken = true): Promise<Report | null> {
  let report: Report | null = null;
  await reporter.tell(async (body) => {
    report = body;
    return taken;
  });
  return report;
}

test("latencies are counted in at most 64 rising buckets, and told once", async () => {
  const reporter = newReporter();
  assert.equal(await told(reporter), null);
  for (const latencyMs of [0, 1, 1.5, 40, 2 ** 40]) reporter.acknowledged(latencyMs);
  reporter.count("expired", 3);
  assert.deepEqual(await told(reporter), {
    dropped: { overflow: 0, expired: 3, too_large: 0 },
    switches: 0,
    ack_ms: [
      [2, 3],
      [46, 1],
      [2 ** 31, 1],
    ],
  });
  assert.equal(await told(reporter), null);
  for (let latencyMs = 0; latencyMs < 2 ** 40; latencyMs = latencyMs * 1.2 + 1) reporter.acknowledged(latencyMs);
  const report = await told(reporter);
  const bounds = report?.ack_ms.map(([bound]) => bound ?? Number.POSITIVE_INFINITY) ?? [];
  assert(bounds.length <= 64 && bounds.length > 20);
  assert.deepEqual(
    bounds,
    [...bounds].sort((a, b) => a - b),
  );
});

test("no latency is above the bound it is counted under, and none far below", async () => {
  for (let latencyMs = 1; latencyMs < 300_000; latencyMs *= 1.03) {
    const reporter = newReporter();
    reporter.acknowledged(latencyMs);
    const bound = (await told(reporter))?.ack_ms[0]?.[0] ?? 0;
    assert(bound >= latencyMs && bound <= latencyMs * 1.5 + 1, `${latencyMs} under ${bound}`);
  }
});

test("a report that was not sent counts again, together with what came after", async () => {
  const reporter = newReporter();
  reporter.acknowledged(40);
  reporter.acknowledged(40);
  reporter.acknowledged(2 ** 40);
  reporter.count("switches");
  const report = await told(reporter, false);
  assert(report);
  reporter.acknowledged(40);
  assert.deepEqual(await told(reporter), {
    ...report,
    ack_ms: [
      [46, 3],
      [2 ** 31, 1],
    ],
  });
});

test("every minute the gateway hears what is new, and nothing when nothing is", async () => {
  const link = new GatewayEnd();
  const bench = new Bench([link]);
  await link.welcome({ ping_ms: 10_000_000 });
  await bench.send(2);
  await link.heardEvents();
  await bench.clock.advance(35);
  link.ack(2);
  await bench.clock.advance(2_000);
  assert.deepEqual(await heardReport(link), {
    dropped: { overflow: 0, expired: 0, too_large: 0 },
    switches: 0,
    ack_ms: [[46, 2]],
  });
  await bench.clock.advance(180_000);
  link.say({ type: "ping", body: Uint8Array.of(1) });
  assert.equal((await link.heard()).type, "pong");
  await bench.end();
});

test("changes of carrier and dropped events are told after the reconnect", async () => {
  const [before, after] = [new GatewayEnd("websocket"), new GatewayEnd("webtransport")];
  const bench = new Bench([before, after], { outbox: { maxBytes: 4096 } }, { offers: ["websocket", "webtransport"] });
  await before.welcome();
  before.break();
  await idle();
  for (let count = 0; count < 6; count += 1) void bench.client.send({ type: "t", data: "x".repeat(900) });
  await bench.clock.advance(500);
  await after.welcome();
  await after.heardEvents();
  await bench.clock.advance(1_000);
  const report = await heardReport(after);
  assert.deepEqual([report.switches, report.dropped.overflow], [1, bench.dropped.length]);
  await bench.end();
});

test("a report that the link does not take is told on the next one", async () => {
  const [before, after] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([before, after]);
  await before.welcome();
  await bench.send(1);
  before.ack(1);
  await idle();
  before.send = () => Promise.reject(new Error("the link is stuck"));
  await bench.clock.advance(1_000);
  before.break();
  await bench.clock.advance(500);
  await after.welcome();
  await bench.clock.advance(1_000);
  assert.deepEqual((await heardReport(after)).ack_ms, [[6, 1]]);
  await bench.end();
});

test("over HTTPS nothing is reported; it is kept until it can be", async () => {
  const [https, socket] = [new GatewayEnd("https"), new GatewayEnd("websocket")];
  const bench = new Bench([https], {}, { offers: ["websocket", "https"] });
  await https.welcome({ ping_ms: 10_000_000 });
  await bench.send(1);
  assert.deepEqual(await https.heardEvents(), [1]);
  https.ack(1);
  await bench.clock.advance(58_000);
  bench.links.push(socket);
  await bench.clock.advance(3_000);
  await socket.welcome();
  await bench.clock.advance(1_000);
  const report = await heardReport(socket);
  assert.deepEqual([report.switches, report.ack_ms], [1, [[6, 1]]]);
  await assert.rejects(https.heard(), /closed the link/);
  await bench.end();
});
