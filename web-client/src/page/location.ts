/** How much of a URL is reported: neither query nor fragment, no fragment, or all of it. */
export type UrlParts = "path" | "query" | "all";

/** `url` with nothing but what may be reported. */
export function cutUrl(url: string, parts: UrlParts): string {
  return parts === "all" ? url : url.replace(parts === "query" ? /#.*/s : /[?#].*/s, "");
}

/** `text` with each URL in it cut; the `:line:column` that ends a URL in a stack stays. */
export function cutUrls(text: string, parts: UrlParts): string {
  return text.replace(/\w{2,9}:\/\/[^\s()]+/g, (found) => {
    const place = /(:\d{1,9}){0,2}$/.exec(found)?.[0] ?? "";
    const url = found.slice(0, found.length - place.length);
    return cutUrl(url, parts) + place;
  });
}
