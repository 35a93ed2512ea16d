import { AcknowledgementGate } from "./acknowledgements.js";
import type { Line } from "./line.js";
import { Wire } from "./wire.js";

/** The browser's `WebTransport`, over `line`. `opened` hears of each connection. */
export function breakableWebTransport(
  native: typeof WebTransport,
  line: Line,
  opened: (wire: Wire) => void,
): typeof WebTransport {
  return class BreakableWebTransport extends native {
    // As a firewall that drops UDP: what is open falls silent, and nobody says so.
    readonly #wire = new Wire(line, () => line.broken.webtransport);

    constructor(url: string | URL, options?: WebTransportOptions) {
      super(url, options);
      const ended = () => this.#wire.end();
      super.closed.then(ended, ended);
    }

    /** Behind a firewall nothing answers, so that this stays open; without a network it fails at once. */
    override get ready(): Promise<void> {
      if (line.broken.offline) return Promise.reject(new Error("there is no network"));
      return Promise.all([super.ready, this.#wire.passes()]).then(() => {});
    }

    override async createBidirectionalStream(
      options?: WebTransportSendStreamOptions,
    ): Promise<WebTransportBidirectionalStream> {
      const { readable, writable } = await super.createBidirectionalStream(options);
      opened(this.#wire);
      const outgoing = new TransformStream<Uint8Array, Uint8Array>({
        transform: async (chunk, controller) => {
          if (this.#wire.silent) await this.#wire.passes();
          controller.enqueue(chunk);
        },
      });
      // Whoever writes or reads next meets the failure.
      outgoing.readable.pipeTo(writable as WritableStream<Uint8Array>).catch(() => {});
      const incoming = readable.pipeThrough(incomingGate(line, this.#wire));
      return { readable: incoming, writable: outgoing.writable } as unknown as WebTransportBidirectionalStream;
    }
  };
}

/** Holds everything back while the wire is silent, and acknowledgements while the line says so. */
function incomingGate(line: Line, wire: Wire): TransformStream<Uint8Array, Uint8Array> {
  const gate = new AcknowledgementGate();
  let unwatch = () => {};
  return new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => {
      unwatch = line.watch(() => {
        if (wire.silent || line.broken.acknowledgements) return;
        enqueue(controller, gate.release());
      });
    },
    transform: async (chunk, controller) => {
      if (wire.silent) await wire.passes();
      enqueue(controller, gate.pass(chunk, line.broken.acknowledgements));
    },
    flush: () => unwatch(),
  });
}

function enqueue(controller: TransformStreamDefaultController<Uint8Array>, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  try {
    controller.enqueue(bytes);
  } catch {
    // The client has left; nobody waits for it.
  }
}
