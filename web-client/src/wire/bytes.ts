/** Bytes in ordinary memory, which every browser interface accepts. */
export type Bytes = Uint8Array<ArrayBuffer>;
