import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { type ClientFrame, FrameError, type Link, LinkError, webSocket } from "../src/index.js";
import { idle } from "./support/clock.js";

const url = new URL("ws://gateway.test/v1/stream");

/** What the browser would give; the test moves it by hand. */
class FakeWebSocket extends EventTarget {
  static readonly OPEN = 1;
  static last: FakeWebSocket;
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  readonly sent: Uint8Array[] = [];
  readonly closes: (number | undefined)[] = [];
  readonly url: string;
  readonly protocol: string;

  constructor(address: string, protocol: string) {
    super();
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
    this.dispatchEvent(new Event("open"));
  }

  message(data: unknown): void {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }

  ended(code: number, reason = ""): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}

const original = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");

beforeEach(() => Object.defineProperty(globalThis, "WebSocket", { value: FakeWebSocket, configurable: true }));
afterEach(() => {
  mock.timers.reset();
  if (original) Object.defineProperty(globalThis, "WebSocket", original);
  else Reflect.deleteProperty(globalThis, "WebSocket");
});

async function opened(): Promise<{ link: Link; socket: FakeWebSocket }> {
  const opening = webSocket()(url, new AbortController().signal);
  FakeWebSocket.last.opened();
  return { link: await opening, socket: FakeWebSocket.last };
}

const ping: ClientFrame = { type: "ping", body: new Uint8Array(0) };

async function rest(link: Link): Promise<string[]> {
  const frames: string[] = [];
  for await (const frame of link.frames) frames.push(`${frame.type} ${"body" in frame ? frame.body : ""}`);
  return frames;
}

test("it asks for the binary subprotocol and for bytes instead of blobs", async () => {
  const { link, socket } = await opened();
  assert.deepEqual([socket.url, socket.protocol, socket.binaryType], [url.href, "tidegate.v1", "arraybuffer"]);
  assert.equal(link.name, "websocket");
});

test("each frame is a message, each message may hold several frames", async () => {
  const { link, socket } = await opened();
  await link.send(ping);
  assert.deepEqual(socket.sent, [Uint8Array.of(0x06, 0)]);
  socket.message(Uint8Array.of(0x06, 1, 9, 0x07, 0).buffer);
  socket.message(Uint8Array.of(0x06, 0).buffer);
  socket.ended(1000);
  assert.deepEqual(await rest(link), ["ping 9", "pong ", "ping "]);
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
  const sending = assert.rejects(link.send(ping), LinkError);
  await idle();
  socket.ended(1006);
  mock.timers.tick(10);
  await sending;
});

test("a socket that cannot be opened, or is given up, leaves nothing open", async () => {
  const refused = webSocket()(url, new AbortController().signal);
  FakeWebSocket.last.ended(1006);
  await assert.rejects(refused, (error: unknown) => error instanceof LinkError && error.code === 1006);

  const controller = new AbortController();
  const abandoned = webSocket()(url, controller.signal);
  controller.abort();
  await assert.rejects(abandoned, LinkError);
  assert.equal(FakeWebSocket.last.closes.length, 1);
  await assert.rejects(webSocket()(url, controller.signal), LinkError);
});

test("the gateway's close code and reason reach the reader, behind the last frame", async () => {
  const { link, socket } = await opened();
  socket.message(Uint8Array.of(0x07, 0).buffer);
  socket.ended(4003, "auth");
  const frames = link.frames[Symbol.asyncIterator]();
  assert.equal((await frames.next()).done, false);
  await assert.rejects(frames.next(), (error: unknown) => {
    assert(error instanceof LinkError);
    assert.equal(error.code, 4003);
    assert.match(error.message, /code 4003, auth/);
    return true;
  });
});

for (const [what, data] of [
  ["text", "hello"],
  ["half a frame", Uint8Array.of(0x06, 2, 1).buffer],
] as const) {
  test(`a message of ${what} ends the link`, async () => {
    const { link, socket } = await opened();
    socket.message(data);
    await assert.rejects(rest(link), FrameError);
    assert.equal(socket.closes.length, 1);
  });
}

test("closing ends the frames and says a normal close", async () => {
  const { link, socket } = await opened();
  link.close();
  assert.deepEqual(socket.closes, [1000]);
  assert.deepEqual(await rest(link), []);
  await assert.rejects(link.send(ping), LinkError);
});
