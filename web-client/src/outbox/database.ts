import type { Clock } from "../clock.js";
import { StorageError } from "../errors/storage-error.js";

/** Tables of the database. `meta`: `id`. `slots`: by slot. `chunks`: by [slot, first number]. `leases`: by slot. */
export type Tables = Readonly<Record<(typeof NAMES)[number], IDBObjectStore>>;

/**
 * Runs `work` in one transaction over all tables; resolves when that is committed. `work` may wait for requests of its tables,
 * and for nothing else. When it throws, nothing was written. It may be run twice. Rejects with `StorageError`.
 */
export type Write = <T>(work: (tables: Tables) => Promise<T>) => Promise<T>;

const NAMES = ["meta", "slots", "chunks", "leases"] as const;
const VERSION = 1;
const OPEN_TIMEOUT_MS = 3_000;
const WRITE_TIMEOUT_MS = 10_000;

/** One database, opened when it is written to, and again where the browser has closed it. */
export function database(factory: IDBFactory, name: string, clock: Clock): Write {
  let connection: Promise<IDBDatabase> | null = null;
  const forget = () => {
    connection?.then((opened) => opened.close()).catch(() => {});
    connection = null;
  };
  const connect = async () => {
    const request = factory.open(name, VERSION);
    request.onupgradeneeded = () => {
      for (const name of NAMES) request.result.createObjectStore(name);
    };
    try {
      const opened = await answer(request);
      opened.onclose = opened.onversionchange = forget;
      return opened;
    } catch (error) {
      connection = null;
      throw error;
    }
  };
  return async (work) => {
    for (let attempts = 1; ; attempts += 1) {
      try {
        connection ??= connect();
        return await transact(await within(clock, OPEN_TIMEOUT_MS, connection), clock, work);
      } catch (error) {
        const failure = storageError(error);
        if (failure.reason !== "closed") throw failure;
        // The browser may have closed it in passing: once more, on a new connection.
        forget();
        if (attempts > 1) throw failure;
      }
    }
  };
}

async function transact<T>(connection: IDBDatabase, clock: Clock, work: (tables: Tables) => Promise<T>): Promise<T> {
  const transaction = connection.transaction(NAMES, "readwrite", { durability: "relaxed" });
  const committed = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
  const tables = NAMES.map((name) => [name, transaction.objectStore(name)]);
  try {
    const done = Promise.all([work(Object.fromEntries(tables) as Tables), committed]);
    return (await within(clock, WRITE_TIMEOUT_MS, done))[0];
  } catch (error) {
    try {
      transaction.abort();
    } catch {
      // It has ended already.
    }
    if (error instanceof StorageError) throw error;
    // A request that failed says less than its transaction.
    throw (await committed.catch((cause: unknown) => cause)) ?? error;
  }
}

/** What a request answers. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function within<T>(clock: Clock, timeoutMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new StorageError("failed", `no answer within ${timeoutMs / 1000} s`));
    const cancel = clock.after(timeoutMs, late);
    promise.then(resolve, reject).finally(cancel);
  });
}

function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const closed = /^(InvalidState|Version|Abort)Error$/.test(name);
  const reason = name === "QuotaExceededError" ? "quota" : closed ? "closed" : "failed";
  return new StorageError(reason, `${name}: ${message}`, { cause: error });
}
