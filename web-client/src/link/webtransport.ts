import { LinkError } from "../errors/link-error.js";
import type { Bytes } from "../wire/bytes.js";
import { decode } from "../wire/decode.js";
import { encode, encodeLossy } from "../wire/encode.js";
import type { ClientFrame, GatewayFrame, Welcome } from "../wire/frames.js";
import { FrameSplitter } from "../wire/splitter.js";
import { FRAME_BYTES_MAX, type Link, type Open, WAITING_MAX } from "./link.js";

/** SHA-256 of a development certificate that the browser shall trust. */
export interface CertificateHash {
  readonly algorithm: "sha-256";
  readonly value: Bytes;
}

/** Datagrams handed to the browser and not sent yet. */
const DATAGRAMS_WAITING_MAX = 64;

/** Opens WebTransport sessions: one bidirectional stream, frames back to back. No hashes: the ordinary certificate check. */
export function webTransport(certificateHashes: readonly CertificateHash[]): Open {
  return async (url, signal) => {
    let transport: WebTransport | undefined;
    const abort = () => transport?.close();
    signal.addEventListener("abort", abort);
    try {
      requireWanted(signal);
      const options = certificateHashes.length > 0 ? { serverCertificateHashes: [...certificateHashes] } : {};
      transport = new WebTransport(url.href, options);
      // A refusal also rejects `ready` or the stream, where it is reported.
      transport.closed.catch(() => {});
      await transport.ready;
      const stream = await transport.createBidirectionalStream();
      requireWanted(signal);
      return new WebTransportLink(transport, stream);
    } catch (error) {
      abort();
      throw LinkError.from("WebTransport", error);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  };
}

function requireWanted(signal: AbortSignal): void {
  if (signal.aborted) throw new Error("given up");
}

class WebTransportLink implements Link {
  readonly name = "webtransport";
  readonly frames: AsyncIterable<GatewayFrame>;
  readonly #transport: WebTransport;
  readonly #writer: WritableStreamDefaultWriter<Bytes>;
  #datagrams: WritableStreamDefaultWriter<Bytes> | null = null;
  #datagramsWaiting = 0;
  #waiting = 0;
  #welcome: Welcome | null = null;
  #closed = false;

  constructor(transport: WebTransport, stream: WebTransportBidirectionalStream) {
    this.#transport = transport;
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.frames = this.#read(stream.readable.getReader());
  }

  async send(frame: ClientFrame): Promise<void> {
    if (this.#waiting >= WAITING_MAX) this.close();
    if (this.#closed) throw new LinkError("WebTransport: closed");
    this.#waiting += 1;
    try {
      this.#write(encode(frame));
      await this.#writer.ready;
    } catch (error) {
      throw LinkError.from("WebTransport", error);
    } finally {
      this.#waiting -= 1;
    }
  }

  sendLossy(payload: Bytes): boolean {
    if (this.#closed || !this.#welcome) return false;
    const frame = encodeLossy(payload);
    if (this.#welcome.datagrams && frame.length <= this.#transport.datagrams.maxDatagramSize)
      return this.#datagram(frame);
    const room = (this.#writer.desiredSize ?? 0) > 0;
    if (!room || frame.length > this.#welcome.max_frame_bytes) return false;
    this.#write(frame);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport.close();
  }

  /** A failure fails the writer too, where whoever sends next meets it. */
  #write(frame: Bytes): void {
    this.#writer.write(frame).catch(() => {});
  }

  #datagram(frame: Bytes): boolean {
    if (this.#datagramsWaiting >= DATAGRAMS_WAITING_MAX) return false;
    try {
      this.#datagrams ??= datagramWriter(this.#transport.datagrams);
    } catch {
      return false;
    }
    this.#datagramsWaiting += 1;
    const settled = () => {
      this.#datagramsWaiting -= 1;
    };
    this.#datagrams.write(frame).then(settled, settled);
    return true;
  }

  async *#read(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<GatewayFrame> {
    const splitter = new FrameSplitter(FRAME_BYTES_MAX);
    for (;;) {
      const { done, value } = await this.#chunk(reader);
      if (done) break;
      for (const bytes of splitter.push(value)) {
        const frame = decode(bytes);
        if (frame.type === "welcome") this.#welcome = frame.body;
        yield frame;
      }
    }
    if (splitter.unfinishedBytes > 0 && !this.#closed) throw new LinkError("WebTransport: ended inside a frame");
  }

  /** A closed session fails its streams, also when it was closed on purpose; that is an ordinary end. */
  async #chunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
    try {
      return await reader.read();
    } catch (error) {
      if (this.#closed) return { done: true, value: undefined };
      throw LinkError.from("WebTransport", error);
    }
  }
}

/** The stream of datagrams was an attribute before it was made by a method; browsers have the one or the other. */
function datagramWriter(datagrams: WebTransportDatagramDuplexStream): WritableStreamDefaultWriter<Bytes> {
  const { createWritable } = datagrams as { createWritable?: () => WritableStream<Bytes> };
  const writer = (createWritable?.call(datagrams) ?? datagrams.writable).getWriter();
  writer.closed.catch(() => {});
  return writer;
}
