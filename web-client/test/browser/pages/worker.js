// A dedicated worker that is told what the driver shall do: `{call, argument}`, answered in order.
import { driver } from "./driver.js";

globalThis.onmessage = async ({ data: { id, call, argument } }) => {
  try {
    postMessage({ id, answer: await driver[call](argument) });
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
};
