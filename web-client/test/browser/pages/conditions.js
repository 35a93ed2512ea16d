// What a page finds when its scripts begin, by its query.
//
// `?storage=throws` and `?storage=missing`: browsers that deny a page its storage, in the ways they do.
const conditions = new URLSearchParams(location.search);
const storage = conditions.get("storage");
if (storage === "throws") {
  const denied = () => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  IDBFactory.prototype.open = denied;
  Object.defineProperty(globalThis, "localStorage", { get: denied });
} else if (storage === "missing") {
  Object.defineProperty(globalThis, "indexedDB", { value: undefined });
  Object.defineProperty(globalThis, "localStorage", { value: null });
}

// `?hurry`: what would happen after a minute happens after six seconds. Shorter waits, for answers above all, are as long as ever.
if (conditions.has("hurry")) {
  const LONG_MS = 30_000;
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (call, ms = 0, ...rest) => setTimeout(call, ms < LONG_MS ? ms : ms / 10, ...rest);
}
