import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { FrameError } from "../src/errors/frame-error.js";
import { LinkError } from "../src/errors/link-error.js";
import type { Link } from "../src/link/link.js";
import { webSocket } from "../src/link/websocket.js";
import type { ClientFrame, GatewayFrame } from "../src/wire/frames.js";
import { recordOf } from "../src/wire/record.js";
import { varint } from "../src/wire/varint.js";
import { idle } from "./support/clock.js";
import { decodeClientFrame, encodeGatewayFrame } from "./support/frames.js";
import { usualWelcome } from "./support/gateway.js";
import type { Inbox } from "./support/inbox.js";
import { received } from "./support/received.js";

const url = new URL("ws://gateway.test/v1/stream");

/** What the browser would give; the test moves it by hand. */
class FakeWebSocket {
  static readonly OPEN = 1;
  static last: FakeWebSocket;
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  readonly sent: Uint8Array[] = [];
  readonly closes: (number | undefined)[] = [];
  readonly url: string;
  readonly protocol: string;
  onopen: () => void = () => {};
  onmessage: (event: { data: unknown }) => void = () => {};
  onclose: (event: { code: number; reason: string }) => void = () => {};

  constructor(address: string, protocol: string) {
    this.url = address;
    this.protocol = protocol;
    FakeWebSocket.last = this;
  }

  send(frame: Uint8Array): void {
    this.sent.push(frame);
  }

  close(code?: number): void {
    this.readyState = 2;
    this.closes.push(code);
  }

  opened(): void {
    this.readyState = FakeWebSocket.OPEN;
    this.onopen();
  }

  message(data: unknown): void {
    this.onmessage({ data });
  }

  ended(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

const original = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");

beforeEach(() => Object.defineProperty(globalThis, "WebSocket", { value: FakeWebSocket, configurable: true }));
afterEach(() => {
  mock.timers.reset();
  if (original) Object.defineProperty(globalThis, "WebSocket", original);
  else Reflect.deleteProperty(globalThis, "WebSocket");
});

interface Opened {
  readonly link: Link;
  readonly frames: Inbox<GatewayFrame>;
  readonly socket: FakeWebSocket;
}

async function opened(): Promise<Opened> {
  const opening = webSocket(url, new AbortController().signal);
  FakeWebSocket.last.opened();
  const link = await opening;
  return { link, frames: received(link), socket: FakeWebSocket.last };
}

const ping: ClientFrame = { type: "ping", body: new Uint8Array(0) };

async function rest(frames: Inbox<GatewayFrame>): Promise<string[]> {
  const all: string[] = [];
  for await (const frame of frames) all.push(`${frame.type} ${"body" in frame ? frame.body : ""}`);
  return all;
}

test("it asks for the binary subprotocol and for bytes instead of blobs", async () => {
  const { link, socket } = await opened();
  assert.deepEqual([socket.url, socket.protocol, socket.binaryType], [url.href, "tidegate.v1", "arraybuffer"]);
  assert.equal(link.name, "websocket");
});

test("each frame is a message, each message may hold several frames", async () => {
  const { link, frames, socket } = await opened();
  await link.send(ping);
  assert.deepEqual(socket.sent, [Uint8Array.of(0x06, 0)]);
  socket.message(Uint8Array.of(0x06, 1, 9, 0x07, 0).buffer);
  socket.message(Uint8Array.of(0x06, 0).buffer);
  socket.ended(1000);
  assert.deepEqual(await rest(frames), ["ping 9", "pong ", "ping "]);
});

test("sending waits while the browser has too much unsent", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { link, socket } = await opened();
  socket.bufferedAmount = 256 * 1024 + 1;
  let sent = false;
  const sending = link.send(ping).then(() => {
    sent = true;
  });
  await idle();
  mock.timers.tick(10);
  await idle();
  assert.equal(sent, false);
  socket.bufferedAmount = 256 * 1024;
  mock.timers.tick(10);
  await sending;
});

test("a sender that waits hears when the socket closes", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { link, socket } = await opened();
  socket.bufferedAmount = 1_000_000;
  const sending = assert.rejects(link.send(ping), /closed/);
  await idle();
  socket.ended(1006);
  mock.timers.tick(10);
  await sending;
});

test("a socket that cannot be opened, or is given up, leaves nothing open", async () => {
  const refused = webSocket(url, new AbortController().signal);
  FakeWebSocket.last.ended(1006);
  await assert.rejects(refused, (error: unknown) => error instanceof LinkError && error.code === 1006);

  const controller = new AbortController();
  const abandoned = webSocket(url, controller.signal);
  controller.abort();
  FakeWebSocket.last.ended(1006);
  await assert.rejects(abandoned, /code 1006/);
  assert.equal(FakeWebSocket.last.closes.length, 1);
});

test("the gateway's close code and reason reach the reader, behind the last frame", async () => {
  const { frames, socket } = await opened();
  socket.message(Uint8Array.of(0x07, 0).buffer);
  socket.ended(4003, "auth");
  assert.equal((await frames.next()).done, false);
  await assert.rejects(frames.next(), (error: unknown) => {
    assert(error instanceof LinkError);
    assert.equal(error.code, 4003);
    assert.match(error.message, /code 4003, auth/);
    return true;
  });
});

test("a message of text ends the link", async () => {
  const { frames, socket } = await opened();
  socket.message("hello");
  await assert.rejects(rest(frames), FrameError);
  assert.equal(socket.closes.length, 1);
});

test("a message longer than any frame ends the link", async () => {
  const { frames, socket } = await opened();
  const ignored = new Uint8Array(2 * 1024 * 1024 + 10);
  ignored.set([0x80, ...varint(ignored.length - 5)]);
  socket.message(ignored.buffer);
  await assert.rejects(rest(frames), FrameError);
  assert.equal(socket.closes.length, 1);
});

test("a gateway that makes us answer and does not read is cut off", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { link, socket } = await opened();
  socket.bufferedAmount = 1_000_000;
  const sending = Array.from({ length: 256 }, () => link.send(ping));
  await assert.rejects(link.send(ping), /closed/);
  assert.deepEqual([socket.sent.length, socket.closes.length], [256, 1]);
  mock.timers.tick(10);
  assert((await Promise.allSettled(sending)).every(({ status }) => status === "rejected"));
});

test("a lossy event goes where hardly anything waits, and not before WELCOME", async () => {
  const { link, frames, socket } = await opened();
  const event = recordOf('{"type":"t"}');
  assert.equal(link.sendLossy(event), false, "before WELCOME");
  socket.message(encodeGatewayFrame({ type: "welcome", body: { ...usualWelcome, max_frame_bytes: 30 } }).buffer);
  await frames.next();
  assert.equal(link.sendLossy(event), true);
  const lossy = { first_seq: 0, lossy: true, records: [event] };
  assert.deepEqual(decodeClientFrame(socket.sent[0] ?? new Uint8Array(0)), { type: "events", body: lossy });
  assert.equal(link.sendLossy(recordOf(`{"type":"${"t".repeat(30)}"}`)), false, "longer than a frame may be");
  socket.bufferedAmount = 20_000;
  assert.equal(link.sendLossy(event), false, "bytes wait");
  socket.bufferedAmount = 0;
  socket.ended(1006);
  assert.equal(link.sendLossy(event), false, "closed");
  assert.equal(socket.sent.length, 1);
});

test("closing ends the frames and says a normal close", async () => {
  const { link, frames, socket } = await opened();
  link.close();
  assert.deepEqual(socket.closes, [1000]);
  assert.deepEqual(await rest(frames), []);
  await assert.rejects(link.send(ping), /closed/);
});
