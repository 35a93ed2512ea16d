/** To UTF-8. */
export const encoder = new TextEncoder();
