import { AcknowledgementGate } from "./acknowledgements.js";
import type { Line } from "./line.js";
import { Wire } from "./wire.js";

const ABNORMAL = 1006;
/** How long a refusal takes to come. */
const REFUSAL_MS = 30;

/** The browser's `WebSocket`, over `line`. `opened` hears of each connection. */
export function breakableWebSocket(
  native: typeof WebSocket,
  line: Line,
  opened: (wire: Wire) => void,
): typeof WebSocket {
  class BreakableWebSocket extends native {
    readonly #wire = new Wire(line, () => false);
    readonly #incoming: ArrayBuffer[] = [];
    readonly #outgoing: Parameters<WebSocket["send"]>[0][] = [];
    readonly #acknowledgements = new AcknowledgementGate();
    #delivering = false;
    #unwatch: () => void = () => {};

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      // First of all listeners, so it decides what the others hear.
      super.addEventListener("message", (event) => this.#receive(event));
      this.#unwatch = line.watch(() => this.#look());
      super.addEventListener("close", () => {
        this.#unwatch();
        this.#wire.end();
      });
      super.addEventListener("open", () => opened(this.#wire));
    }

    override send(data: Parameters<WebSocket["send"]>[0]): void {
      if (this.#wire.silent) this.#outgoing.push(data);
      else super.send(data);
    }

    #receive(event: MessageEvent<unknown>): void {
      if (this.#delivering || !(event.data instanceof ArrayBuffer)) return;
      event.stopImmediatePropagation();
      this.#incoming.push(event.data);
      this.#look();
    }

    /** What may pass now does. */
    #look(): void {
      // A proxy that lets no WebSocket through ends those that are open.
      if (line.broken.websocket && this.readyState === native.OPEN) {
        this.#cut();
        return;
      }
      if (this.#wire.silent || this.readyState === native.CONNECTING) return;
      for (const data of this.#outgoing.splice(0)) if (this.readyState === native.OPEN) super.send(data);
      const hold = line.broken.acknowledgements;
      for (const data of this.#incoming.splice(0))
        this.#deliver(this.#acknowledgements.pass(new Uint8Array(data), hold));
      if (!hold) this.#deliver(this.#acknowledgements.release());
    }

    #deliver(bytes: Uint8Array): void {
      if (bytes.length === 0) return;
      this.#delivering = true;
      this.dispatchEvent(new MessageEvent("message", { data: bytes.slice().buffer, origin: new URL(this.url).origin }));
      this.#delivering = false;
    }

    #cut(): void {
      this.#unwatch();
      this.close();
      this.dispatchEvent(new CloseEvent("close", { code: ABNORMAL, wasClean: false }));
    }
  }
  return new Proxy(BreakableWebSocket, {
    construct(target, [url, protocols]: [string | URL, (string | string[])?]) {
      const blocked = line.broken.websocket || line.broken.offline;
      return blocked ? refused(url) : new target(url, protocols);
    },
  });
}

/** A socket that never opens, as behind a proxy that lets none through. */
function refused(url: string | URL): EventTarget {
  const socket = Object.assign(new EventTarget(), {
    url: String(url),
    readyState: 0,
    bufferedAmount: 0,
    binaryType: "blob",
    send: () => {},
    close: () => {},
  });
  setTimeout(() => {
    socket.readyState = 3;
    socket.dispatchEvent(new Event("error"));
    socket.dispatchEvent(new CloseEvent("close", { code: ABNORMAL, wasClean: false }));
  }, REFUSAL_MS);
  return socket;
}
