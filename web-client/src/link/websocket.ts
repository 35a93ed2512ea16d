import { FrameError } from "../errors/frame-error.js";
import { LinkError } from "../errors/link-error.js";
import type { Bytes } from "../wire/bytes.js";
import { decodeNext } from "../wire/decode.js";
import { encode, encodeLossy } from "../wire/encode.js";
import type { ClientFrame, GatewayFrame } from "../wire/frames.js";
import { Reader } from "../wire/reader.js";
import { Inbox } from "./inbox.js";
import { FRAME_BYTES_MAX, type Link, type Open, WAITING_MAX } from "./link.js";

/** Subprotocol of the binary coding. */
const SUBPROTOCOL = "tidegate.v1";
/** `WebSocket.send` never waits. Above this many unsent bytes ours does. */
const BUFFERED_BYTES_MAX = 256 * 1024;
/** Lossy events only go where hardly anything waits before them. */
const LOSSY_BUFFERED_BYTES_MAX = 16 * 1024;
/** There is no event for a drained send buffer, so it is looked at this often. */
const BUFFERED_POLL_MS = 10;
const UNREAD_BYTES_MAX = 2 * FRAME_BYTES_MAX;
/** What an unread frame takes beside its bytes. */
const UNREAD_FRAME_BYTES = 512;
const CLOSE_NORMAL = 1000;

/** Opens WebSockets: one or more whole binary frames in each binary message. */
export function webSocket(): Open {
  return (url, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) throw new LinkError("WebSocket: given up");
      const socket = connect(url);
      const abort = () => {
        socket.close();
        reject(new LinkError("WebSocket: given up"));
      };
      signal.addEventListener("abort", abort);
      socket.onclose = (event) => {
        signal.removeEventListener("abort", abort);
        reject(closed(event));
      };
      socket.onopen = () => {
        signal.removeEventListener("abort", abort);
        if (!signal.aborted) resolve(new WebSocketLink(socket));
      };
    });
}

function connect(url: URL): WebSocket {
  try {
    const socket = new WebSocket(url.href, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    return socket;
  } catch (error) {
    throw LinkError.from("WebSocket", error);
  }
}

class WebSocketLink implements Link {
  readonly name = "websocket";
  readonly frames = new Inbox<GatewayFrame>(UNREAD_BYTES_MAX);
  readonly #socket: WebSocket;
  #waiting = 0;
  /** Longest frame the gateway takes; 0 before WELCOME. */
  #frameBytesMax = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      try {
        this.#receive(data);
      } catch (error) {
        this.#fail(error);
      }
    };
    socket.onclose = (event) => this.frames.end(event.code === CLOSE_NORMAL ? undefined : closed(event));
  }

  async send(frame: ClientFrame): Promise<void> {
    if (this.#waiting >= WAITING_MAX) this.#fail(new LinkError("WebSocket: the gateway does not read"));
    this.#requireOpen();
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
    this.frames.end();
  }

  #requireOpen(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) throw new LinkError("WebSocket: closed");
  }

  #receive(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) throw new FrameError("text message in a binary session");
    if (data.byteLength > FRAME_BYTES_MAX) throw new FrameError(`message of ${data.byteLength} bytes`);
    const reader = new Reader(new Uint8Array(data));
    while (reader.remaining > 0) {
      const before = reader.remaining;
      const frame = decodeNext(reader);
      if (frame.type === "welcome") this.#frameBytesMax = frame.body.max_frame_bytes;
      if (!this.frames.push(frame, before - reader.remaining + UNREAD_FRAME_BYTES)) {
        this.#socket.close();
        break;
      }
    }
  }

  #fail(error: unknown): void {
    this.frames.end(error);
    this.#socket.close();
  }
}

function closed({ code, reason }: CloseEvent): LinkError {
  return new LinkError(`WebSocket: closed: code ${code}${reason && `, ${reason}`}`, code);
}
