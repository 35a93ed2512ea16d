/** Whether a value is what it should be. */
export type Check = (value: unknown) => boolean;

/** In 0..2^53-1. */
export const integer: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

export const string: Check = (value) => typeof value === "string";

export const boolean: Check = (value) => typeof value === "boolean";
