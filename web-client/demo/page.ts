import type { State, TransportName } from "../src/index.js";
import type { Arrival } from "./arrivals.js";

export const TRANSPORTS: Readonly<Record<TransportName, string>> = {
  webtransport: "WebTransport",
  websocket: "WebSocket",
  https: "HTTPS",
};
const REASONS: Readonly<Record<string, string>> = {
  ok: "open",
  rate: "held by a rate limit",
  broker: "held: Kafka is slow or away",
  full: "held: the gateway’s log is full",
  draining: "held: the gateway is about to restart",
  quota: "held: the tenant’s quota is used up",
  memory: "held: the gateway is short of memory",
};
/** After so long without an acknowledgement that is due, it is worth saying. */
const WAITING_SECONDS = 2;
const JOURNAL_MAX = 200;
/** Lines of arrivals that are shown. */
export const NEWEST_MAX = 14;

/** The element with this id. Throws where the page has none. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** Writes `text` into an element, where it is another one than it has. */
export function write(id: string, text: string): void {
  const found = element(id, HTMLElement);
  if (found.textContent !== text) found.textContent = text;
}

/** How the client is connected, in words. */
export function connection({ status, transport, error }: State): string {
  const why = error === null ? "" : `: ${error.message}`;
  if (status === "open") return transport === null ? "Connected" : `Connected over ${TRANSPORTS[transport]}`;
  if (status === "connecting") return "Connecting…";
  if (status === "waiting") return `Trying again soon${why}`;
  if (status === "offline") return "Offline";
  return `${status === "closed" ? "Closed" : "Stopped"}${why}`;
}

/** Shows the state of the client. `waitedSeconds`: since the last acknowledgement, while some are due. */
export function showState(state: State, switches: number, waitedSeconds: number): void {
  const line = element("status", HTMLElement);
  line.dataset.status = state.status;
  write("status", connection(state));
  const held = state.status === "open" && state.reason !== "ok";
  const waiting = state.status === "open" && waitedSeconds >= WAITING_SECONDS;
  const silence = `no acknowledgement for ${Math.floor(waitedSeconds)} s`;
  const credit = held ? (REASONS[state.reason] ?? state.reason) : waiting ? silence : "open";
  write("credit", state.status === "open" ? credit : "none: not connected");
  element("credit", HTMLElement).dataset.held = String(held || waiting);
  write("switches", switches.toLocaleString());
  write("storage", state.persistent ? "IndexedDB" : "memory");
}

/** Shows how full the outbox is. `room`: whether `send` resolves at once. */
export function showOutbox({ events, bytes }: State["unsettled"], capBytes: number, room: boolean): void {
  const share = Math.min(bytes / capBytes, 1);
  const fill = element("outbox-bar", HTMLElement).querySelector("i");
  if (fill) fill.style.transform = `scaleX(${share})`;
  const size = `${kibibytes(bytes)} of ${kibibytes(capBytes)}`;
  write("in-flight", events.toLocaleString());
  write("outbox-bytes", room ? size : `${size}, send() waits`);
}

/** A duration as people read it. */
export function milliseconds(ms: number | null): string {
  if (ms === null) return "–";
  if (ms >= 10_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 1_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString()} ms`;
}

/** Adds a line to what happened, the newest on top. */
export function tell(text: string, now: Date): void {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = now.toLocaleTimeString([], { hour12: false });
  const words = document.createElement("span");
  words.textContent = text;
  line.append(time, words);
  const journal = element("journal", HTMLOListElement);
  journal.prepend(line);
  while (journal.childElementCount > JOURNAL_MAX) journal.lastElementChild?.remove();
}

/** Shows the newest of what arrived, the newest on top. */
export function showArrivals(newest: readonly { readonly arrival: Arrival; readonly own: boolean }[]): void {
  const lines = newest.map(({ arrival, own }) => {
    const line = document.createElement("li");
    line.className = own ? "arrived" : "others";
    for (const [name, text] of [
      ["sequence", String(arrival.sequence)],
      ["type", arrival.event?.type ?? "a large event"],
      ["id", arrival.event?.id ?? ""],
    ] as const) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = text;
      line.append(part);
    }
    return line;
  });
  element("newest", HTMLOListElement).replaceChildren(...lines.reverse());
}

function kibibytes(bytes: number): string {
  const kibi = bytes / 1024;
  if (kibi >= 1024) return `${(kibi / 1024).toLocaleString(undefined, { maximumFractionDigits: 1 })} MiB`;
  return `${kibi.toLocaleString(undefined, { maximumFractionDigits: kibi < 10 ? 1 : 0 })} KiB`;
}
