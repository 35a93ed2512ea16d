/** More events are unacknowledged than the queue may hold. Nothing was taken; wait for acknowledgements and send again. */
export class QueueFullError extends Error {
  override readonly name = "QueueFullError";
}
