import type { Bytes } from "./wire/bytes.js";

/** Carriers this client speaks, as the discovery document names them. */
export type TransportName = "webtransport" | "websocket";

/** One open connection. Frames are whole; a transport never looks inside one. */
export interface Link {
  readonly name: TransportName;
  /**
   * Resolves once the transport has room again, so awaiting it is backpressure. That says nothing about arrival: only an
   * acknowledgement does. Rejects with `LinkError` when the link is closed.
   */
  send(frame: Bytes): Promise<void>;
  /**
   * Frames in order, for one consumer. Ends when either side has closed the link, throws `LinkError` when it broke and
   * `FrameError` when what came was not frames.
   */
  readonly frames: AsyncIterable<Uint8Array>;
  /** Lets go of the connection; frames on their way may be lost. Closing twice is nothing. */
  close(): void;
}

/** Opens a link, or rejects with `LinkError`. Aborting the signal leaves nothing open, and later no longer matters. */
export type Open = (url: URL, signal: AbortSignal) => Promise<Link>;

/** Longest frame that is taken from a gateway: the largest that may be configured there, 2 MiB, with its type and length. */
export const FRAME_BYTES_MAX = 2 * 1024 * 1024 + 9;
