import { FrameError } from "../errors/frame-error.js";

/** Whether a value is what it should be. */
export type Check = (value: unknown) => boolean;

/** What the members of an object must be. Others are let through. */
export type Shape = Readonly<Record<string, Check>>;

/** In 0..2^53-1. */
export const integer: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

export const string: Check = (value) => typeof value === "string";

export const boolean: Check = (value) => typeof value === "boolean";

/** `null` is as good as absent. */
export function optional(check: Check): Check {
  return (value) => value == null || check(value);
}

/** A list of objects. */
export function listOf(shape: Shape): Check {
  return (value) => Array.isArray(value) && value.every((element) => wrongMember(element, shape) === undefined);
}

/** The object that JSON text says. Throws `FrameError` with the member that is not as `shape` has it. */
export function parse<T>(name: string, json: string, shape: Shape): T {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // It lacks every member.
  }
  const wrong = wrongMember(value, shape);
  if (wrong !== undefined) throw new FrameError(`${name}: "${wrong}" is missing or wrong`);
  return value as T;
}

/** The first of the members that `value` does not have as it should. */
export function wrongMember(value: unknown, shape: Shape): string | undefined {
  const members: Record<string, unknown> = Object(value);
  return Object.keys(shape).find((member) => !shape[member]?.(members[member]));
}
