import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "./support/http.js";
import {
  acked,
  clock,
  events,
  frames,
  gateway,
  hello,
  link,
  next,
  open,
  sendOff,
  settledWith,
  standing,
  welcomed,
} from "./support/https.js";

for (const [status, reason] of [
  [503, "broker"],
  [503, "full"],
  [503, "memory"],
  [503, "draining"],
  [429, "rate"],
  [429, "quota"],
] as const) {
  test(`${status} ${reason} is told, and the events go again after Retry-After`, async () => {
    await welcomed();
    sendOff(events(5, '"5"'));
    (await gateway.heard()).answer(status, problem(status, reason), { "retry-after": "3" });
    const told = await acked();
    assert.deepEqual([told.upto, told.reason, told.list], [4, reason, []]);
    assert(told.retry_ms >= 3_000 && told.retry_ms < 3_600, `${told.retry_ms}`);
    await clock.advance(2_999);
    const again = gateway.heard();
    await clock.advance(600);
    (await again).answer(200, standing(5));
    const { upto, reason: now } = await acked();
    assert.deepEqual([upto, now], [5, "ok"]);
  });
}

test("a Retry-After of a year is cut, and one that is no number backs off", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  (await gateway.heard()).answer(503, problem(503, "broker"), { "retry-after": `${365 * 86_400}` });
  const { retry_ms } = await acked();
  assert(retry_ms <= 11 * 60_000, `${retry_ms}`);
  const again = gateway.heard();
  await clock.advance(retry_ms);
  (await again).answer(503, problem(503, "broker"), { "retry-after": "soon" });
  const second = (await acked()).retry_ms;
  assert(second > 0 && second <= 30_000, `${second}`);
});

test("a busy gateway answers HELLO with a CLOSE that says when to come again", async () => {
  for (const [reason, code] of [
    ["broker", 4010],
    ["draining", 4000],
  ] as const) {
    open({});
    const sent = assert.rejects(link.send(hello), /closed/);
    (await gateway.heard()).answer(503, problem(503, reason), { "retry-after": "2" });
    const frame = await next();
    assert(frame.type === "close");
    assert.deepEqual([frame.body.code, frame.body.retry_ms], [code, 2_000]);
    await sent;
    assert.equal((await frames.next()).done, true);
  }
});

for (const [status, reason, code] of [
  [401, "auth", 4003],
  [403, "forbidden", 4003],
  [403, "origin", 4011],
  [409, "stale_epoch", 4007],
  [409, "taken_over", 4006],
  [400, "bad_request", 4001],
] as const) {
  test(`${status} ${reason} ends the link as CLOSE ${code} would`, async () => {
    await welcomed();
    const sent = assert.rejects(link.send(events(5, '"5"')), /closed/);
    (await gateway.heard()).answer(status, problem(status, reason));
    const frame = await next();
    assert(frame.type === "close");
    assert.deepEqual([frame.body.code, frame.body.msg], [code, `refused: ${reason}`]);
    await sent;
    assert.equal((await frames.next()).done, true);
  });
}

test("while another request of the client is under way the same is asked again", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  (await gateway.heard()).answer(409, problem(409, "busy"));
  await settledWith(() => clock.dueIn === 1_000);
  const again = gateway.heard();
  await clock.advance(1_000);
  const asked = await again;
  assert.equal(asked.body, '"5"\n');
  asked.answer(200, standing(5));
  assert.equal((await acked()).upto, 5);
});

test("but not for ever", async () => {
  await welcomed();
  const sent = assert.rejects(link.send(events(5, '"5"')), /does not end/);
  for (let times = 0; times < 40; times += 1) {
    (await gateway.heard()).answer(409, problem(409, "busy"));
    await settledWith(() => clock.dueIn === 1_000);
    await clock.advance(1_000);
  }
  await sent;
  await assert.rejects(frames.next(), /does not end/);
});

for (const [what, status, body] of [
  ["500", 500, problem(500, "lost")],
  ["504", 504, problem(504, "timeout")],
  ["404", 404, problem(404, "not_found")],
  ["408", 408, problem(408, "body_timeout")],
  ["a proxy's 503", 503, "<html>"],
  ["a proxy's 403", 403, "<html>"],
  ["a redirect", 307, ""],
] as const) {
  test(`${what} breaks the link`, async () => {
    await welcomed();
    const said = new RegExp(`answered ${status || "with a redirect"}`);
    const sent = assert.rejects(link.send(events(5, '"5"')), said);
    (await gateway.heard()).answer(status, body, { location: "/elsewhere" });
    await sent;
    await assert.rejects(frames.next(), said);
    await assert.rejects(link.send(events(5, '"5"')), said);
  });
}

for (const [what, answer] of [
  ["an `upto` below what was sent", standing(4)],
  ["an `upto` beyond 2^53-1", standing(2 ** 53)],
  ["a refusal of an event that was not sent", standing(5, { rejected: [{ index: 1, code: "x", message: "" }] })],
  ["no level", standing(5, { level: "maybe" })],
  ["something that is not JSON", "<html>"],
] as const) {
  test(`an answer with ${what} is no answer`, async () => {
    await welcomed();
    sendOff(events(5, '"5"'));
    (await gateway.heard()).answer(200, answer);
    await assert.rejects(frames.next(), /no answer|was not sent|JSON/);
  });
}

test("an answer without end is not read to its end", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  (await gateway.heard()).answer(200, " ".repeat(1_100_000));
  await assert.rejects(frames.next(), /more than 1048576 bytes/);
});

test("a connection that breaks, breaks the link", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  (await gateway.heard()).cut();
  await assert.rejects(frames.next(), /fetch failed|terminated/);
});

test("a request without an answer is given up after 35 s", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  await gateway.heard();
  await clock.advance(34_999);
  const broken = assert.rejects(frames.next(), /no answer in time/);
  await clock.advance(1);
  await broken;
});
