import { breakableFetch } from "./fetch.js";
import { type Fault, Line } from "./line.js";
import { breakableWebSocket } from "./websocket.js";
import { breakableWebTransport } from "./webtransport.js";
import type { Wire } from "./wire.js";

export type { Fault } from "./line.js";

/** Breaks what the page's network gives, and mends it. */
export interface Faults {
  /** The browser's own `fetch`, which nothing here breaks. */
  readonly fetch: typeof fetch;
  set(fault: Fault, broken: boolean): void;
  /** The newest connection falls silent for good, both ways; later ones work. Whether there was one. */
  freeze(): boolean;
}

/**
 * Puts a breakable line under everything that opens connections in this page. To be called before the client connects, which
 * needs no knowledge of it: it meets what it would meet in the wild.
 */
export function installFaults(): Faults {
  const line = new Line();
  let newest: Wire | null = null;
  const opened = (wire: Wire) => {
    newest = wire;
  };
  const native = { fetch: globalThis.fetch.bind(globalThis) };
  globalThis.fetch = breakableFetch(native.fetch, line);
  globalThis.WebSocket = breakableWebSocket(globalThis.WebSocket, line, opened);
  if ("WebTransport" in globalThis) {
    globalThis.WebTransport = breakableWebTransport(globalThis.WebTransport, line, opened);
  }
  Object.defineProperty(navigator, "onLine", { configurable: true, get: () => !line.broken.offline });
  return {
    fetch: native.fetch,
    set(fault, broken) {
      if (line.broken[fault] === broken) return;
      line.set(fault, broken);
      if (fault === "offline") window.dispatchEvent(new Event(broken ? "offline" : "online"));
    },
    freeze() {
      if (!newest || newest.ended) return false;
      newest.freeze();
      return true;
    },
  };
}
