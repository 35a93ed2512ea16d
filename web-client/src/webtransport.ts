import { LinkError } from "./errors/link-error.js";
import { FRAME_BYTES_MAX, type Link, type Open } from "./link.js";
import type { Bytes } from "./wire/bytes.js";
import { FrameSplitter } from "./wire/splitter.js";

/** SHA-256 of a development certificate that the browser shall trust. */
export interface CertificateHash {
  readonly algorithm: "sha-256";
  readonly value: Bytes;
}

/** Whether this browser has WebTransport at all. It exists in secure contexts only. */
export function hasWebTransport(): boolean {
  return "WebTransport" in globalThis;
}

/** Opens WebTransport sessions: one bidirectional stream, frames back to back. No hashes: the ordinary certificate check. */
export function webTransport(certificateHashes: readonly CertificateHash[]): Open {
  return async (url, signal) => {
    if (signal.aborted) throw new LinkError("WebTransport: given up before it began");
    const options = certificateHashes.length > 0 ? { serverCertificateHashes: [...certificateHashes] } : {};
    const transport = connect(url, options);
    // A refusal also rejects `ready` or the stream, where it is reported.
    transport.closed.catch(() => {});
    const abort = () => transport.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await transport.ready;
      const stream = await transport.createBidirectionalStream();
      if (signal.aborted) throw new Error("given up");
      return new WebTransportLink(transport, stream);
    } catch (error) {
      transport.close();
      throw linkError("cannot open", error);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  };
}

function connect(url: URL, options: WebTransportOptions): WebTransport {
  try {
    return new WebTransport(url.href, options);
  } catch (error) {
    throw linkError("cannot open", error);
  }
}

class WebTransportLink implements Link {
  readonly name = "webtransport";
  readonly frames: AsyncIterable<Uint8Array>;
  readonly #transport: WebTransport;
  readonly #writer: WritableStreamDefaultWriter<Bytes>;
  #closed = false;

  constructor(transport: WebTransport, stream: WebTransportBidirectionalStream) {
    this.#transport = transport;
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.frames = this.#read(stream.readable.getReader());
  }

  async send(frame: Bytes): Promise<void> {
    if (this.#closed) throw new LinkError("WebTransport: closed");
    try {
      await this.#writer.write(frame);
    } catch (error) {
      throw linkError("cannot send", error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport.close();
  }

  async *#read(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
    const splitter = new FrameSplitter(FRAME_BYTES_MAX);
    for (;;) {
      const { done, value } = await this.#chunk(reader);
      if (done) break;
      yield* splitter.push(value);
    }
    if (splitter.unfinishedBytes > 0 && !this.#closed) throw new LinkError("WebTransport: ended inside a frame");
  }

  /** A closed session fails its streams, also when it was closed on purpose; that is an ordinary end. */
  async #chunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
    try {
      return await reader.read();
    } catch (error) {
      if (this.#closed) return { done: true, value: undefined };
      throw linkError("broke", error);
    }
  }
}

function linkError(what: string, error: unknown): LinkError {
  return new LinkError(`WebTransport: ${what}: ${error instanceof Error ? error.message : String(error)}`);
}
