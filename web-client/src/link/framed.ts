import { FrameError } from "../errors/frame-error.js";
import { LinkError } from "../errors/link-error.js";
import type { Bytes } from "../wire/bytes.js";
import { decode } from "../wire/decode.js";
import { encode, encodeLossy } from "../wire/encode.js";
import type { GatewayFrame, Welcome } from "../wire/frames.js";
import { FrameSplitter } from "../wire/splitter.js";
import type { Link, TransportName } from "./link.js";

/** What carries frames as bytes. It may throw whatever it likes. */
export interface Carrier {
  readonly name: TransportName;
  /** Frames back to back as they come in. Ends when either side has closed the carrier. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Whether frames never go on in the next chunk. */
  readonly whole: boolean;
  /** Resolves once there is room again. */
  write(frame: Bytes): Promise<void>;
  /** False: not possible at once. */
  writeLossy(frame: Bytes, datagrams: boolean): boolean;
  close(): void;
}

/** Longest frame that is taken from a gateway: the largest that may be configured there, 2 MiB, with its type and length. */
export const FRAME_BYTES_MAX = 2 * 1024 * 1024 + 9;
/** Frames that may wait for room at once; more come only of a gateway that makes us answer and does not read. */
const WAITING_MAX = 256;

/** A link over a carrier of bytes. */
export function framed(carrier: Carrier): Link {
  const { name } = carrier;
  let waiting = 0;
  let welcome: Welcome | null = null;
  let closed = false;

  const close = () => {
    if (!closed) carrier.close();
    closed = true;
  };
  async function* frames(): AsyncGenerator<GatewayFrame> {
    const splitter = new FrameSplitter(FRAME_BYTES_MAX);
    try {
      for await (const chunk of carrier.chunks) {
        for (const bytes of splitter.push(chunk)) {
          const frame = decode(bytes);
          if (frame.type === "welcome") welcome = frame.body;
          yield frame;
        }
        if (carrier.whole && splitter.unfinishedBytes > 0) throw new FrameError("part of a frame in a message");
      }
      if (splitter.unfinishedBytes > 0) throw new LinkError(`${name}: ended inside a frame`);
    } catch (error) {
      // A carrier that was closed on purpose may break; that is an ordinary end.
      if (!closed) throw LinkError.from(name, error);
    } finally {
      close();
    }
  }
  return {
    name,
    frames: frames(),
    close,
    send: async (frame) => {
      if (waiting >= WAITING_MAX) close();
      if (closed) throw new LinkError(`${name}: closed`);
      waiting += 1;
      try {
        await carrier.write(encode(frame));
      } catch (error) {
        throw LinkError.from(name, error);
      } finally {
        waiting -= 1;
      }
    },
    sendLossy: (payload) => {
      if (closed || !welcome) return false;
      const frame = encodeLossy(payload);
      try {
        return frame.length <= welcome.max_frame_bytes && carrier.writeLossy(frame, welcome.datagrams);
      } catch {
        return false;
      }
    },
  };
}
