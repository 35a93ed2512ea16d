import { type CloudEvent, connect, type State, type TransportName } from "../src/index.js";
import { observePage } from "../src/page/index.js";
import { type Arrival, followArrivals } from "./arrivals.js";
import { burst } from "./burst.js";
import { drawLatencies, drawRates } from "./chart.js";
import { type Fault, installFaults } from "./faults/index.js";
import { Latencies } from "./latencies.js";
import { type Entry, Ledger } from "./ledger.js";
import {
  element,
  milliseconds,
  NEWEST_MAX,
  showArrivals,
  showOutbox,
  showState,
  TRANSPORTS,
  tell,
  write,
} from "./page.js";
import { drawFigure, type Move, watchPointer } from "./pointer.js";
import { Seconds } from "./seconds.js";
import { type Mark, Sketch } from "./sketch.js";

declare global {
  interface Window {
    /** For tests that drive the page: its numbers, always current. */
    readonly tidegateDemo: DemoNumbers;
  }
}

/** What `window.tidegateDemo` shows. */
interface DemoNumbers {
  /** Events handed to the client. */
  readonly sent: number;
  /** Events that the gateway has acknowledged as durable; refused ones are not among them. */
  readonly acknowledged: number;
  /** Events of this page that were read back behind the gateway. */
  readonly arrived: number;
  /** Carrier of the open connection; `null` while there is none. */
  readonly transport: TransportName | null;
  /** Time from sending to acknowledgement of the newest acknowledged event, in ms; `null` before the first. */
  readonly latencyMs: number | null;
  /** The client's state. */
  readonly state: State;
}

/** Small, so that it can be seen to fill. */
const OUTBOX_BYTES = 1024 * 1024;
const SHOW_EVERY_MS = 100;
const CHART_EVERY_MS = 500;
/** Other pages that are told apart. */
const PAGES_MAX = 1_000;

// Before anything connects.
const faults = installFaults();
const page = crypto.randomUUID().slice(0, 8);
const ledger = new Ledger(page);
const seconds = new Seconds();
const canvas = element("sketch", HTMLCanvasElement);
const sketch = new Sketch(canvas);
const mirror = new Sketch(element("mirror", HTMLCanvasElement));

const query = new URLSearchParams(location.search);
const only = (Object.keys(TRANSPORTS) as TransportName[]).filter((name) => name === query.get("transport"));
const client = connect(new URL(query.get("endpoint") ?? location.origin, location.href), {
  ...(only.length > 0 && { transports: only }),
  outbox: { maxBytes: OUTBOX_BYTES },
});

let latencyMs: number | null = null;
/** When the outbox was last empty or shortened. */
let settledAt = performance.now();
/** Calls of `send` that wait for room. */
let waiting = 0;
let switches = 0;

Object.defineProperty(window, "tidegateDemo", {
  value: Object.freeze({
    get sent() {
      return ledger.counts.sent;
    },
    get acknowledged() {
      return ledger.counts.acknowledged;
    },
    get arrived() {
      return ledger.counts.arrived;
    },
    get transport() {
      return client.state.transport;
    },
    get latencyMs() {
      return latencyMs;
    },
    get state() {
      return client.state;
    },
  } satisfies DemoNumbers),
});

interface Drawn {
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly [name: string]: string | number | boolean;
}

/** Draws an event and sends it. */
function draw(type: string, data: Drawn, joined: boolean): Promise<void> {
  const { clientWidth: width, clientHeight: height } = canvas;
  const { entry, sent } = send({ type, data: { ...data, width, height } });
  sketch.add({ ...data, width, height, stroke: joined ? page : null, event: entry });
  return sent;
}

function send(event: CloudEvent): { entry: Entry; sent: Promise<void> } {
  const now = performance.now();
  const { entry, id } = ledger.enter(now);
  seconds.at(now).sent += 1;
  if (client.state.unsettled.events === 0) settledAt = now;
  waiting += 1;
  const taken = () => {
    waiting -= 1;
  };
  const sent = client.send({ ...event, id }).then(taken, (error: unknown) => {
    taken();
    ledger.give(id, "dropped");
    tell(`An event was not taken: ${error instanceof Error ? error.message : String(error)}`, new Date());
  });
  return { entry, sent };
}

// What happens to the page itself.
observePage({ send: (event) => send(event).sent }, { views: true, vitals: true, errors: true });

function move({ x, y, by, pressed }: Move): void {
  void draw("pointer.moved", { x, y, size: 1, by, pressed }, true);
}

client.on("acknowledged", (told) => {
  // Of another slot: what other tabs left behind.
  if (told.client !== client.state.client) return;
  const now = performance.now();
  settledAt = now;
  for (const entry of ledger.acknowledge(told.count, client.state.unsettled.events)) {
    const second = seconds.at(now);
    second.acknowledged += 1;
    second.latencies.add(now - entry.sentAt);
    latencyMs = now - entry.sentAt;
  }
  explain(told.level);
  sketch.repaint();
});
client.on("refused", ({ event, code, message }) => {
  if (ledger.give(event.id, "refused")) tell(`An event was refused: ${code}, ${message}`, new Date());
  sketch.repaint();
});
client.on("dropped", ({ events, reason }) => {
  const own = events.filter((event) => ledger.give(event.id, "dropped"));
  if (own.length > 0) tell(`${own.length} events were given up: ${reason}`, new Date());
  sketch.repaint();
});

let before: State = client.state;
let used: TransportName | null = null;
let lostAt = 0;
client.on("state", (state) => {
  const earlier = state.unsettled.events - ledger.outbox;
  if (before.client === null && state.client !== null && earlier > 0) {
    tell(`${earlier.toLocaleString()} events of an earlier visit were kept, and go first`, new Date());
  }
  if (state.status !== before.status || state.transport !== before.transport) {
    if (before.status === "open") lostAt = performance.now();
    if (state.status === "open" && state.transport !== null) opened(state.transport);
    else if (state.status === "offline") tell("Offline. Events wait in the outbox.", new Date());
    else if (before.status === "open")
      tell(`The connection is gone${state.error ? `: ${state.error.message}` : ""}`, new Date());
    else if (state.status === "stopped") tell(`Stopped${state.error ? `: ${state.error.message}` : ""}`, new Date());
  }
  before = state;
});

function opened(transport: TransportName): void {
  const name = TRANSPORTS[transport];
  const gap = before.status === "open" ? "without a gap" : `after ${milliseconds(performance.now() - lostAt)}`;
  if (used === null) tell(`Connected over ${name}`, new Date());
  else if (used === transport) tell(`Connected again over ${name}, ${gap}`, new Date());
  else {
    switches += 1;
    tell(`Switched from ${TRANSPORTS[used]} to ${name}, ${gap}`, new Date());
  }
  used = transport;
}

function explain(level: "stored" | "committed"): void {
  const where = level === "stored" ? "synced to the gateway’s log on disk" : "in Kafka, on all in-sync replicas";
  write("meaning", `Acknowledged means ${where}. An event leaves the outbox then, and not before.`);
}

// The other end.

const newest: { readonly arrival: Arrival; readonly own: boolean }[] = [];
const pages = new Set<string>();
let unseen = 0;
let readable = true;
let changed = false;
void followArrivals(faults.fetch, {
  arrived(arrivals, skipped) {
    const second = seconds.at(performance.now());
    unseen += skipped;
    for (const arrival of arrivals) {
      const own = ledger.arrive(arrival.event?.id);
      second.arrived += 1;
      reflect(arrival, own);
      newest.push({ arrival, own });
    }
    newest.splice(0, Math.max(0, newest.length - NEWEST_MAX));
    changed = true;
    sketch.repaint();
  },
  stands(open, why, final) {
    element("there-state", HTMLElement).dataset.open = String(open);
    write(
      "there-state",
      open ? "live, on a line that nothing here breaks" : final ? "not shown" : `trying again: ${why}`,
    );
    element("elsewhere", HTMLElement).hidden = !final;
    element("mirror-field", HTMLElement).hidden = final;
    readable = !final;
    if (final) write("newest-note", "not shown here");
    if (final) write("elsewhere", elsewhere(why ?? ""));
  },
});

function elsewhere(why: string): string {
  const look = why.includes("consumer")
    ? " For example: kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic events"
    : "";
  return `The gateway says: ${why}.${look}`;
}

/** Draws what arrived, of this page and of others. */
function reflect({ event }: Arrival, own: boolean): void {
  const data = event?.data as Partial<Record<"x" | "y" | "width" | "height" | "size", unknown>> | undefined;
  const [x, y, width, height, size] = [data?.x, data?.y, data?.width, data?.height, data?.size].map(Number);
  if (!x || !y || !width || !height || !size) return;
  const [from = ""] = event?.id?.split("-") ?? [];
  if (!own && pages.size < PAGES_MAX) pages.add(from);
  const fate: Mark = own ? "arrived" : "others";
  mirror.add({ x, y, width, height, size, stroke: event?.type === "pointer.moved" ? from : null, event: { fate } });
}

// The buttons.

watchPointer(canvas, move);
const figureButton = element("figure", HTMLButtonElement);
let stopFigure: (() => void) | null = null;
figureButton.addEventListener("click", () => {
  stopFigure = stopFigure ? (stopFigure() ?? null) : drawFigure(canvas, move);
  figureButton.setAttribute("aria-pressed", String(stopFigure !== null));
});
element("clear", HTMLButtonElement).addEventListener("click", () => {
  sketch.clear();
  mirror.clear();
});
for (const button of document.querySelectorAll<HTMLButtonElement>("button.burst")) {
  button.addEventListener("click", () => void sendBurst(button, Number(button.dataset.count)));
}
for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-fault]")) {
  button.addEventListener("click", () => {
    const broken = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-checked", String(broken));
    tell(`${button.querySelector("span")?.textContent}: ${broken ? "on" : "off"}`, new Date());
    faults.set(button.dataset.fault as Fault, broken);
  });
}
element("freeze", HTMLButtonElement).addEventListener("click", () => {
  const frozen = "This connection is frozen: silent both ways";
  const none = "There is no connection to freeze: over HTTPS each request has its own";
  tell(
    faults.freeze() ? frozen : client.state.transport === "https" ? none : "There is no connection to freeze",
    new Date(),
  );
});

async function sendBurst(button: HTMLButtonElement, count: number): Promise<void> {
  button.disabled = true;
  const began = performance.now();
  const { clientWidth, clientHeight } = canvas;
  const size = count > 2_000 ? 0.6 : 1;
  try {
    await burst(count, clientWidth, clientHeight, (x, y) => draw("burst.dot", { x, y, size }, false));
    tell(`${count.toLocaleString()} events handed over in ${milliseconds(performance.now() - began)}`, new Date());
  } finally {
    button.disabled = false;
  }
}

// What is shown.

function show(): void {
  const now = performance.now();
  const { state } = client;
  const { counts } = ledger;
  seconds.at(now);
  const due = state.unsettled.events > 0 ? (now - settledAt) / 1000 : 0;
  showState(state, switches, due);
  showOutbox(state.unsettled, OUTBOX_BYTES, waiting === 0 || state.unsettled.bytes <= OUTBOX_BYTES / 2);
  write("sent", counts.sent.toLocaleString());
  write("sent-rate", `${seconds.rate("sent").toLocaleString()}/s`);
  write("acknowledged", counts.acknowledged.toLocaleString());
  write("latency", latencyMs === null ? "no latency yet" : `the last in ${milliseconds(latencyMs)}`);
  write("arrived", readable ? counts.arrived.toLocaleString() : "–");
  write("arrived-note", arrivedNote());
  write("refused", counts.refused.toLocaleString());
  write("dropped", counts.dropped.toLocaleString());
  const any = counts.refused + counts.dropped > 0;
  element("lost-tile", HTMLElement).dataset.any = String(any);
  write("there-note", thereNote());
  if (changed) showArrivals(newest);
  changed = false;
}

function arrivedNote(): string {
  if (!readable) return "not read back here";
  const { again } = ledger.counts;
  return again > 0 ? `${again.toLocaleString()} of them twice` : "read back, none twice";
}

function thereNote(): string {
  if (!readable) return "";
  const others = pages.size > 0 ? `, from ${(pages.size + 1).toLocaleString()} pages` : "";
  const left = unseen > 0 ? ` ${unseen.toLocaleString()} more were not shown.` : "";
  return `Read back from the log: ${seconds.rate("arrived").toLocaleString()}/s${others}.${left}`;
}

function chart(): void {
  const all = seconds.all;
  const rates = element("rates", HTMLCanvasElement);
  drawRates(rates, all);
  rates.ariaLabel = `Events a second: ${seconds.rate("sent")} sent, ${seconds.rate("acknowledged")} acknowledged`;
  const latencies = element("latencies", HTMLCanvasElement);
  drawLatencies(
    latencies,
    all.map((second) => ({
      p50: Latencies.percentile([second.latencies], 0.5),
      p99: Latencies.percentile([second.latencies], 0.99),
    })),
  );
  const [p50, p99] = [0.5, 0.99].map((quantile) => milliseconds(seconds.percentile(quantile)));
  write("p50", p50 ?? "–");
  write("p99", p99 ?? "–");
  latencies.ariaLabel = `Latency over ten seconds: p50 ${p50}, p99 ${p99}`;
}

show();
chart();
setInterval(show, SHOW_EVERY_MS);
setInterval(chart, CHART_EVERY_MS);
