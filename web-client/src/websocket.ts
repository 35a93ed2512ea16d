import { FrameError } from "./errors/frame-error.js";
import { LinkError } from "./errors/link-error.js";
import { Inbox } from "./inbox.js";
import { FRAME_BYTES_MAX, type Link, type Open } from "./link.js";
import type { Bytes } from "./wire/bytes.js";
import { FrameSplitter } from "./wire/splitter.js";

/** Subprotocol of the binary coding. */
const SUBPROTOCOL = "tidegate.v1";
/** `WebSocket.send` never waits. Above this many unsent bytes ours does. */
const BUFFERED_BYTES_MAX = 256 * 1024;
/** There is no event for a drained send buffer, so it is looked at this often. */
const BUFFERED_POLL_MS = 10;
const UNREAD_FRAMES_MAX = 4096;
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
  readonly #inbox = new Inbox<Uint8Array>(UNREAD_FRAMES_MAX);

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#receive(event.data));
    socket.addEventListener("close", (event) => this.#ended(event));
  }

  get frames(): AsyncIterable<Uint8Array> {
    return this.#inbox;
  }

  async send(frame: Bytes): Promise<void> {
    this.#requireOpen();
    this.#socket.send(frame);
    while (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) {
      await new Promise((resolve) => setTimeout(resolve, BUFFERED_POLL_MS));
      this.#requireOpen();
    }
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
      for (const frame of wholeFrames(data)) {
        if (!this.#inbox.push(frame)) this.#socket.close();
      }
    } catch (error) {
      this.#inbox.end(error);
      this.#socket.close();
    }
  }

  #ended(event: CloseEvent): void {
    if (event.code === CLOSE_NORMAL) this.#inbox.end();
    else this.#inbox.end(new LinkError(`WebSocket: closed: ${describe(event)}`, event.code));
  }
}

function wholeFrames(data: unknown): Uint8Array[] {
  if (!(data instanceof ArrayBuffer)) throw new FrameError("text message in a binary session");
  const splitter = new FrameSplitter(FRAME_BYTES_MAX);
  const frames = splitter.push(new Uint8Array(data));
  if (splitter.unfinishedBytes > 0) throw new FrameError("WebSocket message ends inside a frame");
  return frames;
}

function describe(event: CloseEvent): string {
  return event.reason === "" ? `code ${event.code}` : `code ${event.code}, ${event.reason}`;
}
