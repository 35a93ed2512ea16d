export type { UrlParts } from "./location.js";
export { observePage } from "./observe.js";
export type { PageKind, PageOptions } from "./options.js";
