import { connect, type TransportName } from "../src/index.js";
import { Latencies } from "./latencies.js";
import { element, linkTransports, showFigures, showState } from "./page.js";
import { drawFigure, watchPointer } from "./pointer.js";
import { type Point, Sketch } from "./sketch.js";

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
  /** Carrier of the open connection; `null` while there is none. */
  readonly transport: TransportName | null;
  /** Time from sending to acknowledgement of the newest acknowledged event, in ms; `null` before the first. */
  readonly latencyMs: number | null;
}

const MEDIAN_OF = 200;

const canvas = element("sketch", HTMLCanvasElement);
const sketch = new Sketch(canvas);
const latencies = new Latencies(MEDIAN_OF);
const numbers = { sent: 0, acknowledged: 0, refused: 0, untaken: 0, latencyMs: null as number | null };

const query = new URLSearchParams(location.search);
const transport = forcedTransport(query.get("transport"));
const client = connect(query.get("endpoint") ?? location.origin, { transports: transport && [transport] });
client.on("state", showState);
/** Points whose events are not settled yet, oldest first. */
const waiting: Point[] = [];
client.on("acknowledged", ({ count, level, latencyMs }) => {
  settle(count, "acknowledged");
  numbers.acknowledged += count;
  numbers.latencyMs = latencyMs;
  latencies.add(latencyMs);
  explain(level);
});
client.on("refused", () => {
  settle(1, "refused");
  numbers.refused += 1;
});
client.on("dropped", ({ events }) => {
  settle(events.length, "unknown");
  numbers.untaken += events.length;
});

Object.defineProperty(window, "tidegateDemo", {
  value: Object.freeze({
    get sent() {
      return numbers.sent;
    },
    get acknowledged() {
      return numbers.acknowledged;
    },
    get transport() {
      return client.state.transport;
    },
    get latencyMs() {
      return numbers.latencyMs;
    },
  } satisfies DemoNumbers),
});

linkTransports(transport);
watchPointer(canvas, move);
setInterval(show, 100);

const figureButton = element("figure", HTMLButtonElement);
let stopFigure: (() => void) | null = null;
figureButton.addEventListener("click", () => {
  stopFigure = stopFigure ? (stopFigure() ?? null) : drawFigure(canvas, move);
  figureButton.setAttribute("aria-pressed", String(stopFigure !== null));
});
element("clear", HTMLButtonElement).addEventListener("click", () => sketch.clear());

function move(x: number, y: number): void {
  void client.send({ type: "pointer.moved", data: { x, y } });
  numbers.sent += 1;
  waiting.push(sketch.add(x, y));
}

function settle(count: number, mark: Point["mark"]): void {
  for (const point of waiting.splice(0, count)) point.mark = mark;
  sketch.repaint();
}

function explain(level: "stored" | "committed"): void {
  const where = level === "stored" ? "safe in the gateway’s log on disk" : "in Kafka, on all in-sync replicas";
  element("meaning", HTMLElement).textContent =
    `Acknowledged events are ${where}. Latency runs from sending an event to its acknowledgement.`;
}

function show(): void {
  showFigures({ ...numbers, inFlight: client.state.unsettled.events, medianMs: latencies.median() });
}

function forcedTransport(name: string | null): TransportName | undefined {
  return name === "webtransport" || name === "websocket" || name === "https" ? name : undefined;
}
