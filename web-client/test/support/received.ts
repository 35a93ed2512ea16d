import type { Link } from "../../src/link/link.js";
import type { GatewayFrame } from "../../src/wire/frames.js";
import { Inbox } from "./inbox.js";

/** What comes on a link, from now on, to be taken frame by frame. */
export function received(link: Link): Inbox<GatewayFrame> {
  const frames = new Inbox<GatewayFrame>();
  link
    .run((frame) => frames.push(frame))
    .then(
      () => frames.end(),
      (error: unknown) => frames.end(error),
    );
  return frames;
}
