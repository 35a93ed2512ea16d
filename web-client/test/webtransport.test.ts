import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { type CertificateHash, type ClientFrame, type Link, LinkError, webTransport } from "../src/index.js";
import { idle } from "./support/clock.js";

const url = new URL("https://gateway.test:4433/v1/stream");
const hash: CertificateHash = { algorithm: "sha-256", value: Uint8Array.of(1, 2, 3) };

/** What the browser would give: one stream, whose other end the test holds. */
class FakeWebTransport {
  static last: FakeWebTransport;
  readonly href: string;
  readonly options: unknown;
  readonly written: Uint8Array[] = [];
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

async function opened(): Promise<{ link: Link; transport: FakeWebTransport }> {
  const opening = webTransport([hash])(url, new AbortController().signal);
  FakeWebTransport.last.accept();
  return { link: await opening, transport: FakeWebTransport.last };
}

const ping: ClientFrame = { type: "ping", body: new Uint8Array(0) };

async function rest(link: Link): Promise<string[]> {
  const frames: string[] = [];
  for await (const frame of link.frames) frames.push(`${frame.type} ${"body" in frame ? frame.body : ""}`);
  return frames;
}

test("certificate hashes are handed to the browser, and nothing is where there are none", async () => {
  const { link, transport } = await opened();
  assert.equal(link.name, "webtransport");
  assert.equal(transport.href, url.href);
  assert.deepEqual(transport.options, { serverCertificateHashes: [hash] });

  const opening = webTransport([])(url, new AbortController().signal);
  FakeWebTransport.last.accept();
  await opening;
  assert.deepEqual(FakeWebTransport.last.options, {});
});

test("frames are cut out of the stream wherever its chunks end", async () => {
  const { link, transport } = await opened();
  transport.incoming(0x06, 2, 1);
  transport.incoming(2, 0x07);
  transport.incoming(0);
  transport.finish();
  assert.deepEqual(await rest(link), ["ping 1,2", "pong "]);
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
  await assert.rejects(
    refused,
    (error: unknown) => error instanceof LinkError && /handshake failed/.test(error.message),
  );
  assert.equal(FakeWebTransport.last.closes, 1);

  const controller = new AbortController();
  const abandoned = webTransport([])(url, controller.signal);
  controller.abort();
  await assert.rejects(abandoned, LinkError);
  assert(FakeWebTransport.last.closes > 0);
});

test("a lost session is an error, and so is an end inside a frame", async () => {
  const lost = await opened();
  lost.transport.fail(new Error("connection lost"));
  await assert.rejects(
    rest(lost.link),
    (error: unknown) => error instanceof LinkError && /connection lost/.test(error.message),
  );

  const cut = await opened();
  cut.transport.incoming(0x06, 2);
  cut.transport.finish();
  await assert.rejects(rest(cut.link), LinkError);
});

test("closing on purpose ends the frames without an error", async () => {
  const { link, transport } = await opened();
  const all = rest(link);
  link.close();
  link.close();
  assert.deepEqual(await all, []);
  assert.equal(transport.closes, 1);
  await assert.rejects(link.send(ping), LinkError);
});
