import type { State, TransportName } from "../src/index.js";

/** The numbers the page shows. */
export interface Figures {
  readonly sent: number;
  readonly acknowledged: number;
  readonly inFlight: number;
  readonly refused: number;
  /** Moves that never became events, because the queue was full. */
  readonly untaken: number;
  readonly latencyMs: number | null;
  readonly medianMs: number | null;
}

const TRANSPORTS: Readonly<Record<TransportName, string>> = {
  webtransport: "WebTransport",
  websocket: "WebSocket",
  https: "HTTPS",
};
const REASONS: Readonly<Record<string, string>> = {
  rate: "slowed down by a rate limit",
  broker: "Kafka is slow or away, events are kept",
  full: "the gateway’s log is full, events are kept",
  draining: "the gateway is about to restart",
  quota: "the tenant’s quota is used up",
  memory: "the gateway is short of memory",
};

/** The element with this id. Throws where the page has none. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** Writes the state of the session, in words. */
export function showState({ status, transport, reason, error }: State): void {
  const line = element("status", HTMLElement);
  line.dataset.status = status;
  const why = error === null ? "" : `: ${error.message}`;
  if (status === "open" && transport) {
    const held = reason === "ok" ? "" : ` – ${REASONS[reason] ?? reason}`;
    line.textContent = `Connected over ${TRANSPORTS[transport]}${held}`;
  } else if (status === "connecting") line.textContent = `Connecting…`;
  else if (status === "waiting") line.textContent = `Trying again soon${why}`;
  else if (status === "offline") line.textContent = `Offline`;
  else line.textContent = `${status === "stopped" ? "Stopped" : "Closed"}${why}`;
  // The line is cut off where it is too long.
  line.title = line.textContent;
}

/** Writes the numbers. */
export function showFigures(figures: Figures): void {
  const write = (id: string, text: string) => {
    element(id, HTMLElement).textContent = text;
  };
  write("sent", figures.sent.toLocaleString());
  write("acknowledged", figures.acknowledged.toLocaleString());
  write("in-flight", figures.inFlight.toLocaleString());
  write("refused", figures.refused.toLocaleString());
  write("untaken", figures.untaken.toLocaleString());
  write("latency-last", milliseconds(figures.latencyMs));
  write("latency-median", milliseconds(figures.medianMs));
  element("refused-tile", HTMLElement).hidden = figures.refused === 0;
  element("untaken-tile", HTMLElement).hidden = figures.untaken === 0;
}

/** Makes the transport links keep the rest of the query, and marks the current one. */
export function linkTransports(current: TransportName | undefined): void {
  for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-transport]")) {
    const transport = link.dataset.transport ?? "";
    const url = new URL(location.href);
    if (transport === "") url.searchParams.delete("transport");
    else url.searchParams.set("transport", transport);
    link.href = url.href;
    if (transport === (current ?? "")) link.setAttribute("aria-current", "true");
  }
}

function milliseconds(ms: number | null): string {
  return ms === null ? "–" : `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString()} ms`;
}
