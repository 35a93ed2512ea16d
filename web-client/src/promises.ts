/** Who does not look at what became of a promise need not. */
export function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {});
  return promise;
}

/** Rejected, for whoever looks. */
export function refusal(error: unknown): Promise<void> {
  return handled(Promise.reject(error));
}

/** `promise`, or the signal's reason as soon as it is aborted. */
export function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
