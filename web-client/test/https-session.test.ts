import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsOf } from "../src/link/limits.js";
import { loadHttps } from "../src/link/load.js";
import { recordOf } from "../src/wire/record.js";
import { problem } from "./support/http.js";
import {
  acked,
  clock,
  events,
  frames,
  gateway,
  hello,
  limits,
  link,
  next,
  numbering,
  sendOff,
  standing,
  welcomed,
} from "./support/https.js";

test("HELLO asks where the numbering stands, and the answer is WELCOME", async () => {
  const sent = link.send(hello);
  const asked = await gateway.heard();
  assert.deepEqual([asked.method, asked.path, asked.body], ["POST", "/v1/events", ""]);
  assert.deepEqual(numbering(asked), ["web-a-0", "7", "5"]);
  assert.equal(asked.headers.authorization, "Bearer web.S");
  assert.equal(asked.headers.cookie, undefined);
  asked.answer(200, standing(9));
  await sent;
  const frame = await next();
  assert(frame.type === "welcome");
  const { upto, limit, resumed, rej_more, epoch, level } = frame.body;
  assert.deepEqual(
    { upto, limit, resumed, rej_more, epoch, level },
    { upto: 9, limit: 1_033, resumed: true, rej_more: true, epoch: 7, level: "committed" },
  );
  assert.equal(frame.body.max_frame_bytes, 400_000, "a frame fits a body");
  assert.equal(frame.body.max_event_bytes, 100_000);
});

test("numbers that the client gave up without telling are settled in WELCOME, too", async () => {
  sendOff(hello);
  (await gateway.heard()).answer(200, standing(2));
  const frame = await next();
  assert(frame.type === "welcome");
  assert.deepEqual([frame.body.upto, frame.body.rej_more], [4, false]);
});

test("PING is answered by whatever the gateway says, while events are under way", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  const slow = await gateway.heard();
  for (const [status, body] of [
    [200, standing(4)],
    [503, problem(503, "broker")],
    [403, problem(403, "forbidden")],
  ] as const) {
    sendOff({ type: "ping", body: Uint8Array.of(status % 256) });
    const ping = await gateway.heard();
    assert.deepEqual([ping.body, ping.headers["tidegate-seq"]], ["", undefined], "it does not touch the numbering");
    ping.answer(status, body);
    assert.deepEqual(await next(), { type: "pong", body: Uint8Array.of(status % 256) });
  }
  sendOff({ type: "ping", body: new Uint8Array(0) });
  (await gateway.heard()).answer(502, "<html>");
  await assert.rejects(frames.next(), /answered 502/);
  slow.cut();
});

test("one PING at a time", async () => {
  await welcomed();
  const pings = Array.from({ length: 5 }, () => link.send({ type: "ping", body: new Uint8Array(0) }));
  (await gateway.heard()).answer(200, standing(4));
  await Promise.all(pings);
  assert.equal((await next()).type, "pong");
  sendOff(events(5, '"5"'));
  assert.equal((await gateway.heard()).body, '"5"\n', "no further PING before it");
});

test("REAUTH changes the token of what follows", async () => {
  await welcomed();
  await link.send({ type: "reauth", body: { token: "web.NEW" } });
  sendOff(events(5, '"5"'));
  assert.equal((await gateway.heard()).headers.authorization, "Bearer web.NEW");
});

test("CLOSE is answered once everything before it is", async () => {
  await welcomed();
  sendOff(events(5, '"5"'));
  const closing = assert.rejects(link.send({ type: "close", body: { code: 4013, reason: "done" } }), /closed/);
  (await gateway.heard()).answer(200, standing(5));
  await closing;
  assert.equal((await acked()).upto, 5);
  assert.deepEqual(await next(), { type: "close", body: { code: 4013, reason: "done" } });
  assert.equal((await frames.next()).done, true);
});

test("REPORT and PONG go nowhere", async () => {
  await welcomed();
  const dropped = { overflow: 0, expired: 0, too_large: 0 };
  await link.send({ type: "report", body: { dropped, switches: 0, ack_ms: [] } });
  await link.send({ type: "pong", body: new Uint8Array(0) });
});

test("closing ends the frames and gives up what is under way", async () => {
  await welcomed();
  const sent = assert.rejects(link.send(events(5, '"5"')), /closed/);
  await gateway.heard();
  link.close();
  link.close();
  await sent;
  assert.equal((await frames.next()).done, true);
  await assert.rejects(link.send(hello), /closed/);
  assert.equal(link.sendLossy(recordOf("{}")), false);
});

test("closing while it waits for a busy gateway leaves no timer", async () => {
  await welcomed();
  const sent = assert.rejects(link.send(events(5, '"5"')), /closed/);
  (await gateway.heard()).answer(503, problem(503, "broker"), { "retry-after": "60" });
  await acked();
  assert.equal(clock.pending, 1);
  link.close();
  await sent;
});

test("opening asks nothing, and is given up with its signal", async () => {
  await assert.rejects((await loadHttps()).open(limits)(gateway.url, AbortSignal.abort()));
});

test("limits that are not told are the protocol's, and none is 0", () => {
  const usual = {
    max_event_bytes: 262_144,
    max_frame_bytes: 524_288,
    max_batch_events: 1_000,
    max_body_bytes: 4_194_304,
  };
  assert.deepEqual(limitsOf(undefined), usual);
  assert.deepEqual(limitsOf({ max_body_bytes: 65_536 }), { ...usual, max_body_bytes: 65_536 });
  for (const wrong of [0, 2 ** 53, null, "1"])
    assert.throws(() => limitsOf({ max_body_bytes: wrong }), /max_body_bytes/);
});
