import type { Bytes } from "../wire/bytes.js";
import { decode } from "../wire/decode.js";
import { encode, encodeLossy } from "../wire/encode.js";
import type { Welcome } from "../wire/frames.js";
import { splitter } from "../wire/split.js";
import { FRAME_BYTES_MAX, WAITING_MAX } from "./bounds.js";
import type { Link, TransportName } from "./link.js";

/** What carries frames as bytes. It may throw whatever it likes. */
export interface Carrier {
  readonly name: TransportName;
  /** Hands over frames back to back as they come in. Resolves when the other side has closed the carrier; rejects with what `take` throws. */
  run(take: (chunk: Uint8Array) => void): Promise<void>;
  /** Resolves once there is room again. */
  write(frame: Bytes): Promise<void>;
  /** False: not possible at once. */
  writeLossy(frame: Bytes, datagrams: boolean): boolean;
  close(): void;
}

/** A link over a carrier of bytes. */
export function framed(carrier: Carrier): Link {
  let waiting = 0;
  let welcome: Welcome | null = null;
  let closed = false;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });

  const close = () => {
    if (!closed) carrier.close();
    closed = true;
    end();
  };
  return {
    name: carrier.name,
    close,
    run: async (receive) => {
      const split = splitter(FRAME_BYTES_MAX, (type, body) => {
        if (closed) return;
        const frame = decode(type, body);
        if (frame.type === "welcome") welcome = frame.body;
        receive(frame);
      });
      const running = carrier.run(split);
      try {
        await Promise.race([running, ended]);
      } catch (error) {
        // A carrier that was closed on purpose may break; that is an ordinary end.
        if (!closed) throw error;
      } finally {
        close();
      }
    },
    send: async (frame) => {
      if (waiting >= WAITING_MAX) close();
      if (closed) throw new Error("closed");
      waiting += 1;
      try {
        await carrier.write(encode(frame));
      } finally {
        waiting -= 1;
      }
    },
    sendLossy: (record) => {
      if (closed || !welcome) return false;
      const frame = encodeLossy(record);
      try {
        return frame.length <= welcome.max_frame_bytes && carrier.writeLossy(frame, welcome.datagrams);
      } catch {
        return false;
      }
    },
  };
}
