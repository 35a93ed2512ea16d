import assert from "node:assert/strict";
import { test } from "node:test";
import { recordOf } from "../src/wire/record.js";
import { idle } from "./support/clock.js";
import { problem } from "./support/http.js";
import {
  acked,
  clock,
  events,
  gateway,
  link,
  numbering,
  open,
  sendOff,
  settledWith,
  standing,
  welcomed,
} from "./support/https.js";

test("events are lines of one request, and settle with its answer", async () => {
  await welcomed();
  const sent = link.send(events(5, '{"type":"a"}', '{"type":"b"}'));
  const asked = await gateway.heard();
  assert.deepEqual(numbering(asked), ["web-a-0", "7", "5"]);
  assert.equal(asked.headers["content-type"], "application/x-ndjson");
  assert.equal(asked.body, '{"type":"a"}\n{"type":"b"}\n');
  const rejected = [{ index: 1, code: "unrouted", message: "no route" }];
  asked.answer(200, standing(6, { accepted: 1, rejected, level: "stored" }));
  await sent;
  assert.deepEqual(await acked(), {
    upto: 6,
    level: "stored",
    limit: 1_030,
    limit_bytes: Number.MAX_SAFE_INTEGER,
    reason: "ok",
    retry_ms: 0,
    list: [{ seq: 6, code: "unrouted", refused: true, message: "no route" }],
  });
});

test("422 is an answer like 200: every event was refused", async () => {
  await welcomed();
  sendOff(events(5, "{}"));
  const rejected = [{ index: 0, code: "malformed", message: "no type" }];
  (await gateway.heard()).answer(422, standing(5, { rejected }));
  assert.deepEqual((await acked()).list, [{ seq: 5, code: "malformed", refused: true, message: "no type" }]);
});

test("one request at a time, in order", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  sendOff(events(6, '"6"'));
  const first = await gateway.heard();
  await idle();
  first.answer(200, standing(5));
  assert.equal((await acked()).upto, 5);
  const second = await gateway.heard();
  assert.deepEqual([first.body, second.body], ['"5"\n', '"6"\n']);
  second.answer(200, standing(6));
  assert.equal((await acked()).upto, 6);
});

test("a frame longer than a body goes in several", async () => {
  open({ max_body_bytes: 100_000 });
  await welcomed();
  const payloads = Array.from({ length: 10 }, (_, index) => `"${index}${"x".repeat(29_000)}"`);
  const sent = link.send(events(5, ...payloads));
  const counts: number[] = [];
  let upto = 4;
  while (upto < 14) {
    const asked = await gateway.heard();
    assert.equal(asked.headers["tidegate-seq"], `${upto + 1}`);
    counts.push(asked.body.split("\n").length - 1);
    upto += counts.at(-1) ?? 0;
    asked.answer(200, standing(upto));
    assert.equal((await acked()).upto, upto);
  }
  await sent;
  assert.deepEqual(counts, [3, 3, 3, 1]);
});

test("giving numbers up is settled here, and the next number tells the gateway", async () => {
  await welcomed();
  await link.send({ type: "events", body: { first_seq: 8, records: [] } });
  assert.equal((await acked()).upto, 7);
  sendOff(events(8, '"8"'));
  const asked = await gateway.heard();
  assert.equal(asked.headers["tidegate-seq"], "8");
  asked.answer(200, standing(8));
  assert.equal((await acked()).upto, 8);
});

test("413 halves the body until one event is left, which is refused", async () => {
  await welcomed();
  sendOff(events(5, '"aaaa"', '"bbbb"', `"${"c".repeat(60)}"`, '"dddd"'));
  const seen: string[] = [];
  const acks: unknown[] = [];
  for (let upto = 4; upto < 8; ) {
    const asked = await gateway.heard();
    seen.push(asked.body.replaceAll("\n", " ").replace(/c+/, "c").trim());
    if (asked.body.length > 40) {
      asked.answer(413, "<html>a proxy</html>");
      if (asked.body.split("\n").length > 2) continue;
      upto += 1;
    } else {
      upto += asked.body.split("\n").length - 1;
      asked.answer(200, standing(upto));
    }
    const { upto: told, list } = await acked();
    acks.push([told, list.map(({ seq, code }) => `${seq} ${code}`).join()]);
  }
  assert.deepEqual(seen, ['"aaaa" "bbbb" "c" "dddd"', '"aaaa" "bbbb"', '"c"', '"dddd"']);
  assert.deepEqual(acks, [
    [6, ""],
    [7, "7 too_large"],
    [8, ""],
  ]);
});

test("lossy events are requests of their own that nobody waits for, a few at a time", async () => {
  const event = recordOf('{"type":"t"}');
  assert.equal(link.sendLossy(event), false, "before WELCOME");
  await welcomed();
  assert.deepEqual(
    Array.from({ length: 6 }, () => link.sendLossy(event)),
    [true, true, true, true, false, false],
  );
  const asked = await gateway.heard();
  assert.deepEqual(
    [asked.body, asked.headers.prefer, asked.headers["tidegate-seq"]],
    [`${event.payload}\n`, "respond-async", undefined],
  );
  asked.answer(202, { admitted: 1, rejected: [] });
  await settledWith(() => link.sendLossy(event));
  assert.equal(link.sendLossy(recordOf("x".repeat(100_001))), false, "longer than an event may be");
});

test("after a refused lossy event there is a pause", async () => {
  const event = recordOf('{"type":"t"}');
  await welcomed();
  link.sendLossy(event);
  (await gateway.heard()).answer(503, problem(503, "broker"));
  await settledWith(() => clock.pending === 0);
  await idle();
  assert.equal(link.sendLossy(event), false);
  await clock.advance(1_000);
  assert.equal(link.sendLossy(event), true);
});
