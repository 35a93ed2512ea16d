// What a tab of the tests runs: the driver, as a global for those who ask the page. With `?worker` it is in a worker.
const inWorker = new URLSearchParams(location.search).has("worker");

/** Resolves once `driver` is there. */
globalThis.ready = (async () => {
  globalThis.driver = inWorker ? driverInWorker() : (await import("./driver.js")).driver;
})();

/** The same functions, each asking the worker. */
function driverInWorker() {
  const worker = new Worker("/worker.js", { type: "module" });
  const calls = new Map();
  worker.onmessage = ({ data: { id, answer, error } }) => {
    const { resolve, reject } = calls.get(id);
    calls.delete(id);
    if (error === undefined) resolve(answer);
    else reject(new Error(error));
  };
  worker.onerror = ({ message }) => {
    throw new Error(`the worker: ${message}`);
  };
  let next = 0;
  const ask = (call) => (argument) =>
    new Promise((resolve, reject) => {
      next += 1;
      calls.set(next, { resolve, reject });
      worker.postMessage({ id: next, call, argument });
    });
  return new Proxy({}, { get: (_, call) => ask(call) });
}
