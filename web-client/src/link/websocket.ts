import { FrameError } from "../errors/frame-error.js";
import { LinkError } from "../errors/link-error.js";
import type { Bytes } from "../wire/bytes.js";
import { decodeNext } from "../wire/decode.js";
import { encode, encodeLossy } from "../wire/encode.js";
import type { ClientFrame, GatewayFrame } from "../wire/frames.js";
import { Reader } from "../wire/reader.js";
import { Inbox } from "./inbox.js";
import { FRAME_BYTES_MAX, type Link, type Open } from "./link.js";

/** Subprotocol of the binary coding. */
const SUBPROTOCOL = "tidegate.v1";
/** `WebSocket.send` never waits. Above this many unsent bytes ours does. */
const BUFFERED_BYTES_MAX = 256 * 1024;
/** Lossy events only go where hardly anything waits before them. */
const LOSSY_BUFFERED_BYTES_MAX = 16 * 1024;
/** There is no event for a drained send buffer, so it is looked at this often. */
const BUFFERED_POLL_MS = 10;
/** Frames that may wait for room; more come only of a gateway that makes us answer and does not read. */
const WAITING_MAX = 256;
const UNREAD_BYTES_MAX = 2 * FRAME_BYTES_MAX;
/** What an unread frame takes beside its bytes. */
const UNREAD_FRAME_BYTES = 512;
const CLOSE_NORMAL = 1000;

/** Opens WebSockets: one or more whole binary frames in each binary message. */
export function webSocket(): Open {
  return (url, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(new LinkError("WebSocket: given up before it began"));
        return;
      }
      const socket = connect(url);
      const abort = () => {
        socket.close();
        reject(new LinkError("WebSocket: given up"));
      };
      const refused = (event: CloseEvent) => {
        signal.removeEventListener("abort", abort);
        reject(new LinkError(`WebSocket: cannot open: ${describe(event)}`, event.code));
      };
      signal.addEventListener("abort", abort, { once: true });
      socket.addEventListener("close", refused, { once: true });
      socket.addEventListener(
        "open",
        () => {
          signal.removeEventListener("abort", abort);
          socket.removeEventListener("close", refused);
          if (!signal.aborted) resolve(new WebSocketLink(socket));
        },
        { once: true },
      );
    });
}

function connect(url: URL): WebSocket {
  try {
    const socket = new WebSocket(url.href, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    return socket;
  } catch (error) {
    throw new LinkError(`WebSocket: cannot open: ${error instanceof Error ? error.message : String(error)}`);
  }
}

class WebSocketLink implements Link {
  readonly name = "websocket";
  readonly #socket: WebSocket;
  readonly #inbox = new Inbox<GatewayFrame>(UNREAD_BYTES_MAX);
  #waiting = 0;
  /** Longest frame the gateway takes; 0 before WELCOME. */
  #frameBytesMax = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#receive(event.data));
    socket.addEventListener("close", (event) => this.#ended(event));
  }

  get frames(): AsyncIterable<GatewayFrame> {
    return this.#inbox;
  }

  async send(frame: ClientFrame): Promise<void> {
    this.#requireOpen();
    if (this.#waiting >= WAITING_MAX) {
      this.#fail(new LinkError("WebSocket: the gateway does not read"));
      this.#requireOpen();
    }
    this.#socket.send(encode(frame));
    this.#waiting += 1;
    try {
      while (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) {
        await new Promise((resolve) => setTimeout(resolve, BUFFERED_POLL_MS));
        this.#requireOpen();
      }
    } finally {
      this.#waiting -= 1;
    }
  }

  sendLossy(payload: Bytes): boolean {
    const { readyState, bufferedAmount } = this.#socket;
    if (readyState !== WebSocket.OPEN || bufferedAmount > LOSSY_BUFFERED_BYTES_MAX) return false;
    const frame = encodeLossy(payload);
    if (frame.length > this.#frameBytesMax) return false;
    this.#socket.send(frame);
    return true;
  }

  close(): void {
    this.#socket.close(CLOSE_NORMAL);
    this.#inbox.end();
  }

  #requireOpen(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) throw new LinkError("WebSocket: closed");
  }

  #receive(data: unknown): void {
    try {
      if (!(data instanceof ArrayBuffer)) throw new FrameError("text message in a binary session");
      const { byteLength } = data;
      if (byteLength > FRAME_BYTES_MAX)
        throw new FrameError(`message of ${byteLength} bytes, at most ${FRAME_BYTES_MAX}`);
      const reader = new Reader(new Uint8Array(data));
      while (reader.remaining > 0) {
        const before = reader.remaining;
        const frame = decodeNext(reader);
        if (frame.type === "welcome") this.#frameBytesMax = frame.body.max_frame_bytes;
        const size = before - reader.remaining + UNREAD_FRAME_BYTES;
        if (!this.#inbox.push(frame, size)) {
          this.#socket.close();
          break;
        }
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#inbox.end(error);
    this.#socket.close();
  }

  #ended(event: CloseEvent): void {
    if (event.code === CLOSE_NORMAL) this.#inbox.end();
    else this.#inbox.end(new LinkError(`WebSocket: closed: ${describe(event)}`, event.code));
  }
}

function describe(event: CloseEvent): string {
  return event.reason === "" ? `code ${event.code}` : `code ${event.code}, ${event.reason}`;
}
