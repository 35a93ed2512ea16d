import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { Link } from "../src/link/link.js";
import { webTransport } from "../src/link/webtransport.js";
import type { ClientFrame, GatewayFrame, Welcome } from "../src/wire/frames.js";
import { recordOf } from "../src/wire/record.js";
import { idle } from "./support/clock.js";
import { decodeClientFrame, encodeGatewayFrame } from "./support/frames.js";
import { usualWelcome } from "./support/gateway.js";
import type { Inbox } from "./support/inbox.js";
import { received } from "./support/received.js";

const url = new URL("https://gateway.test:4433/v1/stream");
const hash = Uint8Array.of(1, 2, 3);

/** What the browser would give: one stream, whose other end the test holds. */
class FakeWebTransport {
  static last: FakeWebTransport;
  readonly href: string;
  readonly options: unknown;
  readonly written: Uint8Array[] = [];
  readonly sentDatagrams: Uint8Array[] = [];
  /** Set to make datagrams wait. */
  datagramsBlocked: Promise<void> | null = null;
  readonly datagrams = {
    maxDatagramSize: 40,
    writable: new WritableStream<Uint8Array>({
      write: (datagram) => {
        this.sentDatagrams.push(datagram);
        return this.datagramsBlocked ?? undefined;
      },
    }),
  };
  closes = 0;
  accept: () => void = () => {};
  refuse: (error: Error) => void = () => {};
  /** Set to make the stream take no more. */
  blocked: Promise<void> | null = null;
  readonly ready: Promise<void>;
  readonly closed = Promise.reject(new Error("connection lost"));
  #incoming: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(href: string, options: unknown) {
    this.href = href;
    this.options = options;
    this.ready = new Promise((resolve, reject) => {
      this.accept = resolve;
      this.refuse = reject;
    });
    FakeWebTransport.last = this;
  }

  async createBidirectionalStream(): Promise<unknown> {
    const readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#incoming = controller;
      },
    });
    const writable = new WritableStream<Uint8Array>({
      write: (frame) => {
        this.written.push(frame);
        return this.blocked ?? undefined;
      },
    });
    return { readable, writable };
  }

  close(): void {
    this.closes += 1;
    this.fail(new Error("session closed"));
    this.refuse(new Error("session closed"));
  }

  incoming(...bytes: number[]): void {
    this.#incoming?.enqueue(Uint8Array.from(bytes));
  }

  finish(): void {
    this.#incoming?.close();
  }

  fail(error: Error): void {
    this.#incoming?.error(error);
  }
}

beforeEach(() => Object.defineProperty(globalThis, "WebTransport", { value: FakeWebTransport, configurable: true }));
afterEach(() => Reflect.deleteProperty(globalThis, "WebTransport"));

interface Opened {
  readonly link: Link;
  readonly frames: Inbox<GatewayFrame>;
  readonly transport: FakeWebTransport;
}

async function opened(): Promise<Opened> {
  const opening = webTransport([hash])(url, new AbortController().signal);
  FakeWebTransport.last.accept();
  const link = await opening;
  return { link, frames: received(link), transport: FakeWebTransport.last };
}

const ping: ClientFrame = { type: "ping", body: new Uint8Array(0) };

async function rest(frames: Inbox<GatewayFrame>): Promise<string[]> {
  const all: string[] = [];
  for await (const frame of frames) all.push(`${frame.type} ${"body" in frame ? frame.body : ""}`);
  return all;
}

test("certificate hashes are handed to the browser, and nothing is where there are none", async () => {
  const { link, transport } = await opened();
  assert.equal(link.name, "webtransport");
  assert.equal(transport.href, url.href);
  assert.deepEqual(transport.options, { serverCertificateHashes: [{ algorithm: "sha-256", value: hash }] });

  const opening = webTransport([])(url, new AbortController().signal);
  FakeWebTransport.last.accept();
  await opening;
  assert.deepEqual(FakeWebTransport.last.options, {});
});

test("frames are cut out of the stream wherever its chunks end", async () => {
  const { frames, transport } = await opened();
  transport.incoming(0x06, 2, 1);
  transport.incoming(2, 0x07);
  transport.incoming(0);
  transport.finish();
  assert.deepEqual(await rest(frames), ["ping 1,2", "pong "]);
});

test("sending waits until the stream has taken the frame", async () => {
  const { link, transport } = await opened();
  let unblock: () => void = () => {};
  transport.blocked = new Promise((resolve) => {
    unblock = resolve;
  });
  let sent = false;
  const sending = link.send(ping).then(() => {
    sent = true;
  });
  await idle();
  assert.deepEqual([transport.written.length, sent], [1, false]);
  unblock();
  await sending;
});

test("a session that is refused, or given up, is closed", async () => {
  const refused = webTransport([])(url, new AbortController().signal);
  FakeWebTransport.last.refuse(new Error("handshake failed"));
  await assert.rejects(refused, /handshake failed/);
  assert.equal(FakeWebTransport.last.closes, 1);

  const controller = new AbortController();
  const abandoned = webTransport([])(url, controller.signal);
  controller.abort();
  await assert.rejects(abandoned, /session closed/);
  assert(FakeWebTransport.last.closes > 0);
});

test("a lost session is an error, and an end inside a frame is an end", async () => {
  const lost = await opened();
  lost.transport.fail(new Error("connection lost"));
  await assert.rejects(rest(lost.frames), /connection lost/);

  const cut = await opened();
  cut.transport.incoming(0x06, 0, 0x06, 2);
  cut.transport.finish();
  assert.deepEqual(await rest(cut.frames), ["ping "]);
});

test("closing on purpose ends the frames without an error", async () => {
  const { link, frames, transport } = await opened();
  const all = rest(frames);
  link.close();
  link.close();
  assert.deepEqual(await all, []);
  assert.equal(transport.closes, 1);
  await assert.rejects(link.send(ping), /closed/);
});

test("a gateway that makes us answer and does not read is cut off", async () => {
  const { link, transport } = await opened();
  transport.blocked = new Promise(() => {});
  const sending = Array.from({ length: 256 }, () => link.send(ping));
  for (const send of sending) send.catch(() => {});
  await assert.rejects(link.send(ping), /closed/);
  assert.equal(transport.closes, 1);
});

const event = recordOf('{"type":"t"}');
const lossy: ClientFrame = {
  type: "events",
  body: { first_seq: 0, lossy: true, records: [event] },
};

/** A link on which WELCOME has been read. */
async function welcomed(welcome: Partial<Welcome>): ReturnType<typeof opened> {
  const { link, frames, transport } = await opened();
  transport.incoming(...encodeGatewayFrame({ type: "welcome", body: { ...usualWelcome, ...welcome } }));
  const { value } = await frames.next();
  assert.equal(value.type, "welcome");
  return { link, frames, transport };
}

test("a lossy event is a datagram, of which a bounded number waits", async () => {
  const { link, transport } = await welcomed({ datagrams: true });
  transport.datagramsBlocked = new Promise(() => {});
  for (let count = 0; count < 64; count += 1) assert.equal(link.sendLossy(event), true);
  assert.equal(link.sendLossy(event), false);
  await idle();
  assert.deepEqual(decodeClientFrame(transport.sentDatagrams[0] ?? new Uint8Array(0)), lossy);
  assert.equal(transport.written.length, 0);
});

test("datagrams that are sent or lost make room for others", async () => {
  const { link, transport } = await welcomed({ datagrams: true });
  for (let count = 0; count < 200; count += 1) {
    assert.equal(link.sendLossy(event), true);
    await idle();
  }
  assert.equal(transport.sentDatagrams.length, 200);
});

test("without datagrams, or too long for one, a lossy event goes on the stream if that has room", async () => {
  const without = await welcomed({ datagrams: false });
  assert.equal(without.link.sendLossy(event), true);
  await idle();
  assert.deepEqual(decodeClientFrame(without.transport.written[0] ?? new Uint8Array(0)), lossy);

  const { link, transport } = await welcomed({ datagrams: true, max_frame_bytes: 100 });
  const long = recordOf(`{"type":"${"t".repeat(40)}"}`);
  assert.equal(link.sendLossy(long), true);
  await idle();
  assert.deepEqual([transport.written.length, transport.sentDatagrams.length], [1, 0]);
  assert.equal(link.sendLossy(recordOf(`{"type":"${"t".repeat(100)}"}`)), false, "longer than a frame may be");
  transport.blocked = new Promise(() => {});
  link.send(ping).catch(() => {});
  assert.equal(link.sendLossy(long), false, "no room");
  link.close();
  assert.equal(link.sendLossy(event), false, "closed");
});

test("nothing lossy goes before WELCOME", async () => {
  const { link, transport } = await opened();
  assert.equal(link.sendLossy(event), false);
  assert.equal(transport.written.length, 0);
});
