import assert from "node:assert/strict";
import { test } from "node:test";
import { AcknowledgementGate } from "../demo/faults/acknowledgements.js";
import { breakableFetch } from "../demo/faults/fetch.js";
import { Line } from "../demo/faults/line.js";
import { Wire } from "../demo/faults/wire.js";

const ack = [0x04, 2, 7, 7];
const ping = [0x06, 0];

test("acknowledgements are held back and given back in order; the rest passes", () => {
  const gate = new AcknowledgementGate();
  const pass = (bytes: readonly number[], hold: boolean) => [...gate.pass(Uint8Array.from(bytes), hold)];
  assert.deepEqual(pass([...ack, ...ping], false), [...ack, ...ping]);
  assert.deepEqual(pass([...ack, ...ping], true), ping);
  assert.deepEqual(pass([0x04, 2, 8], true), []);
  assert.deepEqual(pass([8, ...ping], true), ping);
  assert.deepEqual([...gate.release()], [...ack, 0x04, 2, 8, 8]);
  assert.deepEqual([...gate.release()], []);
});

test("what was held back comes before what comes then", () => {
  const gate = new AcknowledgementGate();
  gate.pass(Uint8Array.from(ack), true);
  assert.deepEqual([...gate.pass(Uint8Array.from(ping), false)], [...ack, ...ping]);
});

test("a wire passes again when the line is mended, unless it was frozen", async () => {
  const line = new Line();
  const [wire, frozen] = [new Wire(line, () => false), new Wire(line, () => false)];
  frozen.freeze();
  line.set("offline", true);
  assert.ok(wire.silent);
  const passes = wire.passes();
  line.set("offline", false);
  await passes;
  assert.ok(!wire.silent && frozen.silent);
  const never = frozen.passes();
  frozen.end();
  await assert.rejects(never, /ended/);
});

test("without a network fetch fails as the browser's does", async () => {
  const line = new Line();
  const fetch = breakableFetch(async () => new Response("ok"), line);
  assert.equal(await (await fetch("/x")).text(), "ok");
  line.set("offline", true);
  await assert.rejects(fetch("/x"), TypeError);
});

test("an answer that acknowledges waits, and one that nobody waits for any more does not come", async () => {
  const line = new Line();
  const fetch = breakableFetch(async () => new Response("ok"), line);
  line.set("acknowledgements", true);
  assert.equal(await (await fetch("/discovery")).text(), "ok");
  const patience = new AbortController();
  const given = fetch("/events", { method: "POST", signal: patience.signal });
  const waits = fetch("/events", { method: "POST" });
  patience.abort(new Error("given up"));
  await assert.rejects(given, /given up/);
  line.set("acknowledgements", false);
  assert.equal(await (await waits).text(), "ok");
});
