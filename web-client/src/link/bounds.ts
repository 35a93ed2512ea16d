// Numbers of this folder in a file without imports: there esbuild puts them where they are used.

/** Longest frame that is taken from a gateway: the largest that may be configured there, 2 MiB, with its type and length. */
export const FRAME_BYTES_MAX = 2 * 1024 * 1024 + 9;
/** Frames that may wait for room at once; more come only of a gateway that makes us answer and does not read. */
export const WAITING_MAX = 256;
/** `WebSocket.send` never waits. Above this many unsent bytes ours does. */
export const BUFFERED_BYTES_MAX = 256 * 1024;
/** Lossy events only go where hardly anything waits before them. */
export const LOSSY_BUFFERED_BYTES_MAX = 16 * 1024;
/** There is no event for a drained send buffer, so it is looked at this often. */
export const BUFFERED_POLL_MS = 10;
export const CLOSE_NORMAL = 1000;
/** Datagrams handed to the browser and not sent yet. */
export const DATAGRAMS_WAITING_MAX = 64;
export const DOCUMENT_BYTES_MAX = 64 * 1024;
/** More ways into one gateway than this are not tried. */
export const ROUTES_MAX = 8;
/** HTTPS has nothing to open, so it would win before others can: it starts this many times later. */
export const HTTPS_STAGGERS = 4;
