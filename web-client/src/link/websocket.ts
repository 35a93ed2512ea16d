import type { LinkError as Failure } from "../errors/link-error.js";
import { FrameError, LinkError } from "../session/shared.js";
import { BUFFERED_BYTES_MAX, BUFFERED_POLL_MS, CLOSE_NORMAL, LOSSY_BUFFERED_BYTES_MAX } from "./bounds.js";
import { type Carrier, framed } from "./framed.js";
import type { Open } from "./link.js";

/** Subprotocol of the binary coding. */
const SUBPROTOCOL = "tidegate.v1";

/** Opens a WebSocket: one or more whole binary frames in each binary message. */
export const webSocket: Open = (url, signal) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url.href, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    const giveUp = () => socket.close();
    signal.addEventListener("abort", giveUp);
    socket.onclose = (event) => reject(closed(event));
    socket.onopen = () => {
      signal.removeEventListener("abort", giveUp);
      resolve(framed(carrier(socket)));
    };
  });

function carrier(socket: WebSocket): Carrier {
  const isOpen = () => socket.readyState === WebSocket.OPEN;
  return {
    name: "websocket",
    run: (take) =>
      new Promise((resolve, reject) => {
        socket.onmessage = ({ data }: MessageEvent<unknown>) => {
          try {
            if (!(data instanceof ArrayBuffer)) throw new FrameError("a text message");
            take(new Uint8Array(data));
          } catch (error) {
            reject(error);
          }
        };
        socket.onclose = (event) => (event.code === CLOSE_NORMAL ? resolve() : reject(closed(event)));
      }),
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
    close: () => socket.close(CLOSE_NORMAL),
  };
}

function closed({ code, reason }: CloseEvent): Failure {
  return new LinkError(`websocket: closed: code ${code}${reason && `, ${reason}`}`, code);
}
