import { FrameError } from "../errors/frame-error.js";
import { LinkError } from "../errors/link-error.js";
import { type Carrier, FRAME_BYTES_MAX, framed } from "./framed.js";
import { Inbox } from "./inbox.js";
import type { Open } from "./link.js";

/** Subprotocol of the binary coding. */
const SUBPROTOCOL = "tidegate.v1";
/** `WebSocket.send` never waits. Above this many unsent bytes ours does. */
const BUFFERED_BYTES_MAX = 256 * 1024;
/** Lossy events only go where hardly anything waits before them. */
const LOSSY_BUFFERED_BYTES_MAX = 16 * 1024;
/** There is no event for a drained send buffer, so it is looked at this often. */
const BUFFERED_POLL_MS = 10;
const UNREAD_BYTES_MAX = 2 * FRAME_BYTES_MAX;
/** What an unread message takes beside its bytes. */
const UNREAD_MESSAGE_BYTES = 512;
const CLOSE_NORMAL = 1000;

/** Opens WebSockets: one or more whole binary frames in each binary message. */
export function webSocket(): Open {
  return (url, signal) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url.href, SUBPROTOCOL);
      socket.binaryType = "arraybuffer";
      const giveUp = () => {
        socket.close();
        reject(new LinkError("websocket: given up"));
      };
      signal.addEventListener("abort", giveUp);
      socket.onclose = (event) => reject(closed(event));
      socket.onopen = () => {
        signal.removeEventListener("abort", giveUp);
        resolve(framed(carrier(socket)));
      };
      if (signal.aborted) giveUp();
    });
}

function carrier(socket: WebSocket): Carrier {
  const chunks = new Inbox<Uint8Array>(UNREAD_BYTES_MAX);
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (!(data instanceof ArrayBuffer)) chunks.end(new FrameError("a text message"));
    else if (!chunks.push(new Uint8Array(data), data.byteLength + UNREAD_MESSAGE_BYTES)) socket.close();
  };
  socket.onclose = (event) => chunks.end(event.code === CLOSE_NORMAL ? undefined : closed(event));

  const isOpen = () => socket.readyState === WebSocket.OPEN;
  return {
    name: "websocket",
    chunks,
    whole: true,
    write: async (frame) => {
      if (isOpen()) socket.send(frame);
      while (isOpen() && socket.bufferedAmount > BUFFERED_BYTES_MAX) {
        await new Promise((resolve) => setTimeout(resolve, BUFFERED_POLL_MS));
      }
      if (!isOpen()) throw new Error("closed");
    },
    writeLossy: (frame) => {
      const room = isOpen() && socket.bufferedAmount <= LOSSY_BUFFERED_BYTES_MAX;
      if (room) socket.send(frame);
      return room;
    },
    close: () => {
      socket.close(CLOSE_NORMAL);
      chunks.end();
    },
  };
}

function closed({ code, reason }: CloseEvent): LinkError {
  return new LinkError(`websocket: closed: code ${code}${reason && `, ${reason}`}`, code);
}
