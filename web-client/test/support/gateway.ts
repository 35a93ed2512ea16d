import { LinkError } from "../../src/errors/link-error.js";
import type { Link, TransportName } from "../../src/link/link.js";
import { decode } from "../../src/wire/decode.js";
import type { Ack, ClientFrame, GatewayFrame, Hello, Welcome } from "../../src/wire/frames.js";
import { splitter } from "../../src/wire/split.js";
import { hand, Inbox } from "./inbox.js";

/** A link in memory whose other end is the test, playing the gateway frame by frame. */
export class GatewayEnd implements Link {
  readonly name: TransportName;
  readonly frames: Inbox<GatewayFrame>;
  /** False once the client has let go of the link. */
  open = true;
  /** Whether lossy events can go. */
  lossy = false;
  readonly #received: Inbox<ClientFrame>;
  #broken = false;

  constructor(name: TransportName = "webtransport") {
    this.name = name;
    this.frames = new Inbox();
    this.#received = new Inbox();
  }

  async send(frame: ClientFrame): Promise<void> {
    if (this.#broken || !this.open) throw new LinkError("closed");
    this.#received.push(frame);
  }

  sendLossy(): boolean {
    return this.lossy;
  }

  run(receive: (frame: GatewayFrame) => void): Promise<void> {
    return hand(this.frames, receive, () => this.close());
  }

  close(): void {
    this.open = false;
    this.frames.end();
    this.#received.end();
  }

  /** The client's next frame, waited for. */
  async heard(): Promise<ClientFrame> {
    const { value, done } = await this.#received.next();
    if (done) throw new Error("the client closed the link");
    return value;
  }

  /** The numbers of the client's next frame, which must be EVENTS; PING and REPORT do not count. */
  async heardEvents(): Promise<number[]> {
    let frame = await this.heard();
    while (frame.type === "ping" || frame.type === "report") frame = await this.heard();
    if (frame.type !== "events") throw new Error(`expected EVENTS, got ${frame.type}`);
    const { body } = frame;
    return body.records.map((_, index) => body.first_seq + index);
  }

  say(frame: GatewayFrame): void {
    this.frames.push(frame);
  }

  /** What comes next is no frame. */
  sayBytes(bytes: Uint8Array): void {
    try {
      splitter(1_000_000, (type, body) => this.frames.push(decode(type, body)))(bytes);
    } catch (error) {
      this.frames.end(error);
    }
  }

  /** Waits for HELLO and answers it with everything usual but what `welcome` says. */
  async welcome(welcome: Partial<Welcome> = {}): Promise<Hello> {
    const frame = await this.heard();
    if (frame.type !== "hello") throw new Error(`expected HELLO, got ${frame.type}`);
    const { epoch = 0, next = 1 } = frame.body;
    this.say({ type: "welcome", body: { ...usualWelcome, epoch, upto: next - 1, ...welcome } });
    return frame.body;
  }

  ack(upto: number, ack: Partial<Ack> = {}): void {
    this.say({ type: "ack", body: { ...usualAck, upto, ...ack } });
  }

  /** The carrier fails, as a network does. */
  break(): void {
    this.#broken = true;
    this.frames.end(new LinkError("the network is gone"));
  }
}

/** As a gateway with its default limits answers. */
export const usualWelcome: Welcome = {
  epoch: 77,
  resumed: false,
  upto: 0,
  limit: 1_024,
  limit_bytes: 262_144,
  level: "committed",
  rej: [],
  rej_more: false,
  ping_ms: 25_000,
  max_event_bytes: 262_144,
  max_frame_bytes: 524_288,
  max_batch_events: 1_000,
  datagrams: true,
};

/** A WELCOME that nobody has asked for. */
export const welcomeAgain: GatewayFrame = { type: "welcome", body: usualWelcome };

const usualAck: Ack = {
  upto: 0,
  level: "committed",
  limit: 1_024,
  limit_bytes: 262_144,
  reason: "ok",
  retry_ms: 0,
  list: [],
};
