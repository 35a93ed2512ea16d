import type { Bytes } from "../wire/bytes.js";
import type { ClientFrame, GatewayFrame } from "../wire/frames.js";

/** Carriers this client speaks, as the discovery document names them. */
export type TransportName = "webtransport" | "websocket" | "https";

/** One open connection. Frames are whole and typed: how they travel is the carrier's matter. */
export interface Link {
  readonly name: TransportName;
  /**
   * Resolves once the carrier has room again, so awaiting it is backpressure. That says nothing about arrival: only an
   * acknowledgement does. Rejects with `LinkError` when the link is closed.
   */
  send(frame: ClientFrame): Promise<void>;
  /** Hands over a lossy event (a structured CloudEvent) if that can be done at once; false: it cannot. Never throws. */
  sendLossy(payload: Bytes): boolean;
  /**
   * Frames in order, for one consumer. Ends when either side has closed the link, throws `LinkError` when it broke and
   * `FrameError` when what came was not frames.
   */
  readonly frames: AsyncIterable<GatewayFrame>;
  /** Lets go of the connection; frames on their way may be lost. Closing twice is nothing. */
  close(): void;
}

/** Opens a link, or rejects with `LinkError`. Aborting the signal leaves nothing open, and later no longer matters. */
export type Open = (url: URL, signal: AbortSignal) => Promise<Link>;

/** One transport worth trying. */
export interface Route {
  readonly transport: TransportName;
  readonly url: URL;
  readonly open: Open;
}

/** Finds out which transports to try, best first; never an empty list. Rejects with `DiscoveryError`. */
export type Dial = (signal: AbortSignal) => Promise<readonly Route[]>;
