import { FrameError, integer } from "../session/shared.js";

/**
 * The object that JSON text says. Throws where it is none, and `FrameError` where one of `integers`, names between blanks, is not an
 * integer in 0..2^53-1; those with `?` may be missing or null. Other members are let through as they are.
 */
export function parse<T>(name: string, json: string, integers: string): T {
  const value: Record<string, unknown> = Object(JSON.parse(json));
  for (const integerName of integers.split(" ")) {
    const [member = "", optional] = integerName.split("?");
    const given = value[member];
    if (!integer(given) && (optional === undefined || given != null)) {
      throw new FrameError(`${name}: ${member} is missing or wrong`);
    }
  }
  return value as T;
}
