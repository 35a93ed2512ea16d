// `?storage=throws` and `?storage=missing`: browsers that deny a page its storage, in the ways they do.
const storage = new URLSearchParams(location.search).get("storage");
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
