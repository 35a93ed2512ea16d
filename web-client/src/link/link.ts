import type { ClientFrame, EventRecord, GatewayFrame } from "../wire/frames.js";

/** Carriers this client speaks, as the discovery document names them. */
export type TransportName = "webtransport" | "websocket" | "https";

/** One open connection. Frames are whole and typed: how they travel is the carrier's matter. */
export interface Link {
  readonly name: TransportName;
  /**
   * Resolves once the carrier has room again, so awaiting it is backpressure. That says nothing about arrival: only an
   * acknowledgement does. Rejects when the link is closed, with whatever its carrier threw.
   */
  send(frame: ClientFrame): Promise<void>;
  /** Hands over a lossy event if that can be done at once; false: it cannot. Never throws. */
  sendLossy(record: EventRecord): boolean;
  /**
   * Hands every frame to `receive`, in order; called once, before anything is sent. Resolves when either side has closed the link.
   * Rejects when it broke, with whatever its carrier threw, when what came was not frames (`FrameError`), and with what `receive`
   * throws; the link is closed then. Nothing is received after `close`.
   */
  run(receive: (frame: GatewayFrame) => void): Promise<void>;
  /** Lets go of the connection; frames on their way may be lost. Closing twice is nothing. */
  close(): void;
}

/** Opens a link, or rejects with whatever its carrier threw. Aborting the signal leaves nothing open, and later no longer matters. */
export type Open = (url: URL, signal: AbortSignal) => Promise<Link>;

/** One transport worth trying. */
export interface Route {
  readonly transport: TransportName;
  readonly url: URL;
  readonly open: Open;
}

/** Finds out which transports to try, best first; never an empty list. Rejects with `DiscoveryError`. */
export type Dial = (signal: AbortSignal) => Promise<readonly Route[]>;
