import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { Limits } from "../src/link/discovery.js";
import { https } from "../src/link/https.js";
import type { Link } from "../src/link/link.js";
import type { ClientFrame, GatewayFrame } from "../src/wire/frames.js";
import { text } from "../src/wire/reader.js";
import { utf8 } from "../src/wire/writer.js";
import { FakeClock, idle } from "./support/clock.js";
import { type HeardRequest, HttpEnd, problem } from "./support/http.js";

const limits: Limits = {
  max_event_bytes: 100_000,
  max_frame_bytes: 500_000,
  max_batch_events: 1_000,
  max_body_bytes: 400_000,
};

let gateway: HttpEnd;
let clock: FakeClock;
let link: Link;
let frames: AsyncIterator<GatewayFrame>;

beforeEach(async () => {
  gateway = await HttpEnd.listen();
  clock = new FakeClock();
  await open({});
});

afterEach(async () => {
  link.close();
  // No timer outlives the link.
  await settledWith(() => clock.pending === 0);
  await gateway.close();
});

async function open(changed: Partial<Limits>): Promise<void> {
  const opener = https({ ...limits, ...changed }, { clock, random: () => 0.5 });
  link = await opener(gateway.url, new AbortController().signal);
  frames = link.frames[Symbol.asyncIterator]();
}

async function next(): Promise<GatewayFrame> {
  const { value, done } = await frames.next();
  assert(!done, "the link has ended");
  return value;
}

/** Sends without waiting; how it ends shows elsewhere. */
function sendOff(frame: ClientFrame): void {
  link.send(frame).catch(() => {});
}

/** What the gateway answers once everything up to `upto` is settled. */
function standing(upto: number, more: object = {}): object {
  return { accepted: 0, rejected: [], level: "committed", upto, limit: upto + 1_024, limit_bytes: 400_000, ...more };
}

const hello: ClientFrame = { type: "hello", body: { v: 1, client: "web-a-0", epoch: 7, next: 5, token: "web.S" } };

function events(first_seq: number, ...payloads: string[]): ClientFrame {
  return { type: "events", body: { first_seq, records: payloads.map((json) => ({ alias: 0, payload: utf8(json) })) } };
}

async function welcomed(): Promise<void> {
  sendOff(hello);
  (await gateway.heard()).answer(200, standing(4));
  assert.equal((await next()).type, "welcome");
}

async function acked(): Promise<Extract<GatewayFrame, { type: "ack" }>["body"]> {
  const frame = await next();
  assert(frame.type === "ack", frame.type);
  return frame.body;
}

function numbering({ headers }: HeardRequest): unknown[] {
  return [headers["tidegate-client"], headers["tidegate-epoch"], headers["tidegate-seq"]];
}

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
  await open({ max_body_bytes: 100_000 });
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
    await open({});
    const sent = link.send(hello);
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
    const sent = link.send(events(5, '"5"'));
    (await gateway.heard()).answer(status, problem(status, reason));
    const frame = await next();
    assert(frame.type === "close");
    assert.deepEqual([frame.body.code, frame.body.msg], [code, `refused: ${reason}`]);
    await sent;
    assert.equal((await frames.next()).done, true);
    await link.send(events(6, '"6"'));
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
    const sent = assert.rejects(link.send(events(5, '"5"')), { name: "LinkError" });
    (await gateway.heard()).answer(status, body, { location: "/elsewhere" });
    await sent;
    await assert.rejects(frames.next(), { name: "LinkError", message: new RegExp(`answered ${status}`) });
    await assert.rejects(link.send(events(5, '"5"')), { name: "LinkError" });
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
    await assert.rejects(frames.next(), { name: "FrameError" });
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
  await assert.rejects(frames.next(), { name: "LinkError" });
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
  const closing = link.send({ type: "close", body: { code: 4013, reason: "done" } });
  (await gateway.heard()).answer(200, standing(5));
  await closing;
  assert.equal((await acked()).upto, 5);
  assert.deepEqual(await next(), { type: "close", body: { code: 4013, reason: "done" } });
  assert.equal((await frames.next()).done, true);
});

test("REPORT and PONG go nowhere, DEFINE has no place", async () => {
  await welcomed();
  const dropped = { overflow: 0, expired: 0, too_large: 0 };
  await link.send({ type: "report", body: { dropped, switches: 0, ack_ms: [] } });
  await link.send({ type: "pong", body: new Uint8Array(0) });
  await assert.rejects(link.send({ type: "define", body: { alias: 1, attributes: {} } }), { name: "LinkError" });
});

test("lossy events are requests of their own that nobody waits for, a few at a time", async () => {
  const event = utf8('{"type":"t"}');
  assert.equal(link.sendLossy(event), false, "before WELCOME");
  await welcomed();
  assert.deepEqual(
    Array.from({ length: 6 }, () => link.sendLossy(event)),
    [true, true, true, true, false, false],
  );
  const asked = await gateway.heard();
  assert.deepEqual(
    [asked.body, asked.headers.prefer, asked.headers["tidegate-seq"]],
    [`${text(event)}\n`, "respond-async", undefined],
  );
  asked.answer(202, { admitted: 1, rejected: [] });
  await settledWith(() => link.sendLossy(event));
  assert.equal(link.sendLossy(utf8("x".repeat(100_001))), false, "longer than an event may be");
});

test("after a refused lossy event there is a pause", async () => {
  const event = utf8('{"type":"t"}');
  await welcomed();
  link.sendLossy(event);
  (await gateway.heard()).answer(503, problem(503, "broker"));
  await settledWith(() => clock.pending === 0);
  await idle();
  assert.equal(link.sendLossy(event), false);
  await clock.advance(1_000);
  assert.equal(link.sendLossy(event), true);
});

test("closing ends the frames and gives up what is under way", async () => {
  await welcomed();
  const sent = assert.rejects(link.send(events(5, '"5"')), { name: "LinkError" });
  await gateway.heard();
  link.close();
  link.close();
  await sent;
  assert.equal((await frames.next()).done, true);
  await assert.rejects(link.send(hello), { name: "LinkError" });
  assert.equal(link.sendLossy(utf8("{}")), false);
});

test("closing while it waits for a busy gateway leaves no timer", async () => {
  await welcomed();
  const sent = assert.rejects(link.send(events(5, '"5"')), { name: "LinkError" });
  (await gateway.heard()).answer(503, problem(503, "broker"), { "retry-after": "60" });
  await acked();
  assert.equal(clock.pending, 1);
  link.close();
  await sent;
});

test("opening asks nothing, and is given up with its signal", async () => {
  await assert.rejects(https(limits)(gateway.url, AbortSignal.abort()), { name: "LinkError" });
});

/** Waits for what the network brings about; a test that waits in vain is ended by the runner. */
async function settledWith(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
