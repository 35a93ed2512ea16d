import { LinkError } from "../../src/errors/link-error.js";
import type { Link, Route, TransportName } from "../../src/link/link.js";
import { CloseCode } from "../../src/wire/close-code.js";
import type { Ack, ClientFrame, GatewayFrame, Hello } from "../../src/wire/frames.js";
import type { FakeClock } from "./clock.js";
import { hand, Inbox } from "./inbox.js";

/** A numbering as the gateway knows it. */
interface Numbering {
  readonly epoch: number;
  /** Everything up to here was received, or given up. */
  received: number;
  session: ModelLink | null;
}

/** How a gateway and its network misbehave: chances per frame, 0-1. */
export interface Faults {
  readonly breaks: number;
  readonly closes: number;
  readonly stalls: number;
  readonly goaways: number;
  readonly unopened: number;
  /** Per HELLO: the gateway has restarted and knows no numbering. */
  readonly forgets: number;
}

const CODES = [4000, 4001, 4005, 4008, 4009, 4010, 4012, 4444];
const WINDOW = 40;
const WINDOW_BYTES = 4_000;

/** A gateway after the protocol, whose log can be read, behind a network that breaks as told. */
export class ModelGateway {
  /** `data` of the events in the order they became durable. */
  readonly log: unknown[] = [];
  readonly numberings = new Map<string, Numbering>();
  readonly clock: FakeClock;
  readonly random: () => number;
  faults: Faults;

  constructor(clock: FakeClock, random: () => number, faults: Faults) {
    this.clock = clock;
    this.random = random;
    this.faults = faults;
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  routes(): readonly Route[] {
    return (["webtransport", "websocket", "https"] as const).map((transport) => ({
      transport,
      url: new URL(`https://gateway.test/${transport}`),
      open: async () => {
        if (this.chance(this.faults.unopened)) throw new LinkError("blocked");
        return new ModelLink(transport, this);
      },
    }));
  }
}

class ModelLink implements Link {
  readonly name: TransportName;
  readonly frames = new Inbox<GatewayFrame>();
  readonly #gateway: ModelGateway;
  #numbering: Numbering | null = null;
  #receivedBytes = 0;
  #over = false;
  #stalled = false;
  #leaving = false;

  constructor(name: TransportName, gateway: ModelGateway) {
    this.name = name;
    this.#gateway = gateway;
  }

  async send(frame: ClientFrame): Promise<void> {
    if (this.#over) throw new LinkError("closed");
    const { faults, clock, random } = this.#gateway;
    // Before or after the gateway has seen the frame.
    const broken = this.#gateway.chance(faults.breaks);
    if (broken && random() < 0.5) return this.#break();
    this.#stalled ||= this.#gateway.chance(faults.stalls);
    if (this.#stalled) return;
    if (random() < 0.3) await new Promise<void>((resolve) => clock.after(random() * 20, resolve));
    if (this.#over) throw new LinkError("closed");
    this.#receive(frame);
    if (broken) this.#break();
    else if (this.#gateway.chance(faults.closes)) {
      this.#close(CODES[Math.floor(random() * CODES.length)] ?? 4000);
    } else if (!this.#leaving && this.#gateway.chance(faults.goaways)) {
      this.#leaving = true;
      this.frames.push({ type: "goaway", body: { after_ms: 100, jitter_ms: 100 } });
    }
  }

  sendLossy(): boolean {
    return false;
  }

  run(receive: (frame: GatewayFrame) => void): Promise<void> {
    return hand(this.frames, receive, () => this.close());
  }

  close(): void {
    this.#over = true;
    this.frames.end();
  }

  #break(): void {
    this.#over = true;
    this.frames.end(new LinkError("the network is gone"));
  }

  #close(code: number): void {
    this.frames.push({ type: "close", body: { code, reason: `code ${code}` } });
    this.close();
  }

  #receive(frame: ClientFrame): void {
    if (frame.type === "hello") this.#hello(frame.body);
    else if (frame.type === "ping") this.frames.push({ type: "pong", body: frame.body });
    else if (frame.type === "close") this.#close(CloseCode.done);
    else if (frame.type === "events") {
      const numbering = this.#numbering;
      if (!numbering) throw new Error("EVENTS before WELCOME");
      const { first_seq, records } = frame.body;
      numbering.received = Math.max(numbering.received, first_seq - 1);
      records.forEach(({ payload, bytes }, index) => {
        this.#receivedBytes += bytes;
        if (first_seq + index <= numbering.received) return;
        numbering.received = first_seq + index;
        this.#gateway.log.push(JSON.parse(payload).data);
      });
      this.#gateway.clock.after(this.#gateway.random() * 30, () => this.#acknowledge(numbering));
    }
  }

  #hello({ client = "", epoch = 0, next = 1 }: Hello): void {
    const { numberings, faults } = this.#gateway;
    if (this.#gateway.chance(faults.forgets)) numberings.clear();
    const known = numberings.get(client);
    if (known && known.epoch > epoch) {
      this.#close(CloseCode.stale_epoch);
      return;
    }
    if (known?.session && known.session !== this) known.session.#close(CloseCode.taken_over);
    const resumed = known?.epoch === epoch;
    const numbering = resumed ? known : { epoch, received: next - 1, session: null };
    numbering.received = Math.max(numbering.received, next - 1);
    numbering.session = this;
    numberings.set(client, numbering);
    this.#numbering = numbering;
    const limits = { max_event_bytes: 262_144, max_frame_bytes: 524_288, max_batch_events: 1_000 };
    const times = { ping_ms: 25_000, idle_ms: 75_000, server_time: 0 };
    this.frames.push({
      type: "welcome",
      body: {
        ...{ v: 1, session: "s", client, epoch, resumed, level: "stored", rej: [], rej_more: false, datagrams: false },
        ...{ ...limits, ...times, upto: numbering.received, limit: numbering.received + WINDOW },
        limit_bytes: WINDOW_BYTES,
      },
    });
  }

  #acknowledge(numbering: Numbering): void {
    if (this.#over || this.#stalled || numbering.session !== this) return;
    const upto = numbering.received;
    const ack: Ack = {
      ...{ upto, level: "stored", reason: "ok", retry_ms: 0, list: [] },
      ...{ limit: upto + WINDOW, limit_bytes: this.#receivedBytes + WINDOW_BYTES },
    };
    this.frames.push({ type: "ack", body: ack });
  }
}
