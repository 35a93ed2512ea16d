/** An HTTP answer, read to its end. */
export interface HttpAnswer {
  /** 0: a redirect. */
  readonly status: number;
  readonly body: string;
  /** The header. */
  readonly retryAfter: string | null;
}

/**
 * Asks the gateway, without cookies, caches and redirects: a token is for this address alone. Rejects where the answer is longer than
 * `bytesMax`, and as `fetch` does.
 */
export async function ask(url: URL, init: RequestInit, bytesMax: number, fetcher = fetch): Promise<HttpAnswer> {
  const response = await fetcher(url, { cache: "no-store", credentials: "omit", redirect: "manual", ...init });
  const { status, headers } = response;
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let body = "";
  for (let length = 0; reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      reader.cancel().catch(() => {});
      throw new Error(`answered ${status} with more than ${bytesMax} bytes`);
    }
    body += decoder.decode(value, { stream: true });
  }
  return { status, body: body + decoder.decode(), retryAfter: headers.get("retry-after") };
}
