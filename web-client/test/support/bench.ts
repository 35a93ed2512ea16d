import { startClient } from "../../src/core.js";
import { LinkError } from "../../src/errors/link-error.js";
import type { CloudEvent } from "../../src/event.js";
import type { Client, ClientEvents, Options, State, TransportName } from "../../src/index.js";
import type { Page, PageSignal } from "../../src/lifecycle.js";
import type { Dial, Route } from "../../src/link/link.js";
import { loadHttps } from "../../src/link/load.js";
import { Preference } from "../../src/link/preference.js";
import { settingsOf } from "../../src/options.js";
import { memorySlots } from "../../src/outbox/memory.js";
import type { Slots } from "../../src/outbox/store.js";
import type { Platform } from "../../src/platform.js";
import { startSession } from "../../src/session/session.js";
import { FakeClock, idle } from "./clock.js";
import { GatewayEnd } from "./gateway.js";

/** Unix ms when a test begins. */
export const START = 1_767_225_600_000;

/** A page that does what the test says. */
export class FakePage implements Page {
  online = true;
  visible = true;
  #tell: (signal: PageSignal) => void = () => {};

  listen(tell: (signal: PageSignal) => void): () => void {
    this.#tell = tell;
    return () => {
      this.#tell = () => {};
    };
  }

  /** Something happens to the page. */
  async becomes(signal: PageSignal): Promise<void> {
    if (signal === "online" || signal === "offline") this.online = signal === "online";
    if (signal === "visible" || signal === "hidden") this.visible = signal === "visible";
    this.#tell(signal);
    await idle();
  }
}

/** A request that the client made by itself. */
export interface Posted {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly lines: readonly CloudEvent[];
  readonly keepalive: boolean | undefined;
  /** Answers it. */
  readonly answer: (status: number, body: unknown) => void;
}

export interface BenchParts {
  /** What the gateway offers, best first. */
  readonly offers?: readonly TransportName[];
  readonly slots?: Slots;
  readonly random?: () => number;
  /** Called each time the session is about to be loaded; where it rejects the session cannot be had. */
  readonly load?: () => Promise<void>;
  /** Whether the gateway says that it does not take this page's origin; rejects where it cannot be asked. */
  readonly isForeign?: () => Promise<boolean>;
}

/** A client whose every link ends at the test. A transport without a link left cannot be opened. */
export class Bench {
  readonly clock = new FakeClock();
  readonly page = new FakePage();
  readonly client: Client;
  readonly states: State[] = [];
  readonly acknowledged: ClientEvents["acknowledged"][] = [];
  readonly refused: ClientEvents["refused"][] = [];
  readonly dropped: ClientEvents["dropped"][] = [];
  readonly posted: Posted[] = [];
  /** Endpoints that were asked for their transports. */
  readonly dialled: string[] = [];
  /** Transports that were tried, opened or not. */
  readonly tried: TransportName[] = [];
  /** Tokens that it was told when it was asked about the page's origin. */
  readonly askedOrigin: (string | undefined)[] = [];
  readonly links: GatewayEnd[];
  #leased = 0;
  offers: readonly TransportName[];

  constructor(links: GatewayEnd[], options: Options = {}, parts: BenchParts = {}) {
    this.links = [...links];
    this.offers = parts.offers ?? ["webtransport"];
    const now = () => START + this.clock.now();
    const platform: Platform = {
      clock: this.clock,
      now,
      random: parts.random ?? (() => 0.5),
      page: this.page,
      slots: async ({ name }) =>
        parts.slots ?? memorySlots({ prefix: name, now, newId: () => `abc${this.#leased++ || ""}` }),
      session: async () => {
        await parts.load?.();
        return (sessionParts) =>
          startSession(sessionParts, {
            dial: (endpoint) => this.#dial(endpoint),
            isForeign: async (_, token) => {
              this.askedOrigin.push(token);
              return (await parts.isForeign?.()) ?? false;
            },
            preference: new Preference("test", { now, storage: null }),
            farewell: async () => (await loadHttps()).farewell((url, init) => this.#fetch(url, init)),
          });
      },
    };
    this.client = startClient(settingsOf("http://gateway.test", options), platform);
    this.client.on("state", (state) => this.states.push(state));
    this.client.on("acknowledged", (event) => this.acknowledged.push(event));
    this.client.on("refused", (event) => this.refused.push(event));
    this.client.on("dropped", (event) => this.dropped.push(event));
  }

  get status(): State["status"] {
    return this.client.state.status;
  }

  /** What the last error says. */
  get message(): string {
    return this.client.state.error?.message ?? "";
  }

  /** How many events were acknowledged, all told. */
  get acknowledgedCount(): number {
    return this.acknowledged.reduce((sum, { count }) => sum + count, 0);
  }

  /** Sends so many small events, whose `data` counts from 1, and waits until they are on their way. */
  async send(count = 1, first = 1): Promise<void> {
    for (let index = 0; index < count; index += 1) void this.client.send({ type: "t", data: first + index });
    await this.clock.advance(5);
  }

  /** How the gateway can be reached. */
  routes: () => readonly Route[] = () => this.offers.map((transport) => this.#route(transport));

  /** Ends the client so that nothing of it lives on. */
  async end(): Promise<void> {
    const closed = this.client.close();
    await this.clock.advance(10_000);
    await closed;
  }

  #dial(endpoint: URL): Dial {
    return async () => {
      this.dialled.push(endpoint.href);
      return this.routes();
    };
  }

  #route(transport: TransportName): Route {
    return {
      transport,
      url: new URL(`https://gateway.test/v1/${transport}`),
      open: async () => {
        this.tried.push(transport);
        const index = this.links.findIndex(({ name }) => name === transport);
        const [link] = index < 0 ? [] : this.links.splice(index, 1);
        if (!link) throw new LinkError(`${transport} is blocked`);
        return link;
      },
    };
  }

  #fetch(url: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
    const body = init.body as string;
    return new Promise((resolve) => {
      this.posted.push({
        url: String(url),
        headers: init.headers as Record<string, string>,
        lines: body
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line)),
        keepalive: init.keepalive,
        answer: (status, answer) => resolve(new Response(JSON.stringify(answer), { status })),
      });
    });
  }
}

/** A client that the gateway has just welcomed, on the first of so many links to come. */
export async function connected(
  count: 1 | 2 = 1,
  options: Options = {},
  parts: BenchParts = {},
): Promise<[bench: Bench, first: GatewayEnd, second: GatewayEnd]> {
  const [first, second] = [new GatewayEnd(), new GatewayEnd()];
  const bench = new Bench([first, second].slice(0, count), options, parts);
  await first.welcome();
  return [bench, first, second];
}

/** Says CLOSE on a link. */
export function sayClose(
  link: GatewayEnd,
  code: number,
  more: { reason?: string; msg?: string; retry_ms?: number } = {},
): void {
  link.say({ type: "close", body: { code, reason: `code ${code}`, ...more } });
}

/** The `data` of the events in the next frame of a link, which must be EVENTS. */
export async function heardData(link: GatewayEnd): Promise<unknown[]> {
  const frame = await link.heard();
  if (frame.type !== "events") throw new Error(`expected EVENTS, got ${frame.type}`);
  return frame.body.records.map(({ payload }) => JSON.parse(payload).data);
}
