import type { Bytes } from "../wire/bytes.js";
import { DATAGRAMS_WAITING_MAX } from "./bounds.js";
import { type Carrier, framed } from "./framed.js";
import type { Open } from "./link.js";

type Writer = WritableStreamDefaultWriter<Bytes>;

/** Opens WebTransport sessions: one bidirectional stream, frames back to back. `hashes`: SHA-256 of development certificates that the browser shall trust; none: the ordinary check. */
export function webTransport(hashes: readonly Bytes[]): Open {
  return async (url, signal) => {
    const serverCertificateHashes = hashes.map((value) => ({ algorithm: "sha-256", value }));
    const options = hashes.length > 0 ? { serverCertificateHashes } : {};
    const transport = new WebTransport(url.href, options);
    const close = () => transport.close();
    signal.addEventListener("abort", close);
    try {
      // A refusal also rejects `ready` or the stream, where it is reported.
      transport.closed.catch(() => {});
      await transport.ready;
      return framed(carrier(transport, await transport.createBidirectionalStream()));
    } catch (error) {
      close();
      throw error;
    } finally {
      signal.removeEventListener("abort", close);
    }
  };
}

function carrier(transport: WebTransport, { readable, writable }: WebTransportBidirectionalStream): Carrier {
  const writer = writerOf(writable);
  let datagrams: Writer | undefined;
  let datagramsWaiting = 0;

  const writeDatagram = (frame: Bytes) => {
    if (datagramsWaiting >= DATAGRAMS_WAITING_MAX) return false;
    datagrams ??= writerOf(datagramsOf(transport));
    datagramsWaiting += 1;
    write(datagrams, frame).then(() => {
      datagramsWaiting -= 1;
    });
    return true;
  };
  return {
    name: "webtransport",
    run: async (take) => {
      const reader = readable.getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) take(read.value);
    },
    write: (frame) => {
      write(writer, frame);
      return writer.ready;
    },
    writeLossy: (frame, hasDatagrams) => {
      if (hasDatagrams && frame.length <= transport.datagrams.maxDatagramSize) return writeDatagram(frame);
      const room = (writer.desiredSize ?? 0) > 0;
      if (room) write(writer, frame);
      return room;
    },
    close: () => transport.close(),
  };
}

function writerOf(stream: WritableStream<Bytes>): Writer {
  const writer = stream.getWriter();
  writer.closed.catch(() => {});
  return writer;
}

/** A failure fails the writer too, where whoever sends next meets it. */
function write(writer: Writer, frame: Bytes): Promise<void> {
  return writer.write(frame).catch(() => {});
}

/** The stream of datagrams was an attribute before it was made by a method; browsers have the one or the other. */
function datagramsOf({ datagrams }: WebTransport): WritableStream<Bytes> {
  const { createWritable } = datagrams as { createWritable?: () => WritableStream<Bytes> };
  return createWritable?.call(datagrams) ?? datagrams.writable;
}
