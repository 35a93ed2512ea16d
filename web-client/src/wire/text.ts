const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 as text. Throws where it is not UTF-8. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
