import { type Clock, within } from "../clock.js";
import { StorageError } from "../errors/storage-error.js";
import { OPEN_TIMEOUT_MS, VERSION, WRITE_TIMEOUT_MS } from "./bounds.js";

/** Tables of the database. `meta`: `id`. `slots`: by slot. `chunks`: by [slot, first number]. `leases`: by slot. */
export type Tables = Readonly<Record<(typeof NAMES)[number], IDBObjectStore>>;

/**
 * Runs `work` in one transaction over all tables; resolves when that is committed. `work` may wait for requests of its tables,
 * and for nothing else. When it throws, nothing was written. It may be run twice. Rejects with `StorageError`.
 */
export type Write = <T>(work: (tables: Tables) => Promise<T>) => Promise<T>;

const NAMES = ["meta", "slots", "chunks", "leases"] as const;

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
    const opened = await answer(request);
    opened.onclose = opened.onversionchange = forget;
    return opened;
  };
  return async (work) => {
    for (let attempts = 1; ; attempts += 1) {
      try {
        connection ??= connect().catch((error) => {
          connection = null;
          throw error;
        });
        return await transact(await within(clock, OPEN_TIMEOUT_MS, connection, late), clock, work);
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
    return (await within(clock, WRITE_TIMEOUT_MS, done, late))[0];
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

const late = () => new StorageError("failed", "no answer in time");

function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const { name, message } = error as DOMException;
  const closed = /^(InvalidState|Version|Abort)/.test(name);
  const reason = closed ? "closed" : name === "QuotaExceededError" ? "quota" : "failed";
  return new StorageError(reason, `${name}: ${message}`, { cause: error });
}
