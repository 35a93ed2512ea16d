import { LinkError } from "../errors/link-error.js";

/** The text of an answer to its end. Throws `LinkError` where it is longer than `bytesMax`, and as `fetch` does where it breaks off. */
export async function readText(response: Response, bytesMax: number): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let length = 0; reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      reader.cancel().catch(() => {});
      throw new LinkError(`answer of more than ${bytesMax} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
  return text + decoder.decode();
}
