// Waiting, with an end.

/** For each thing that is waited for. Generous: a machine that does other things too must not fail a test. */
export const DEADLINE_MS = 90_000;

/** What `promise` gives, or an error that names what did not happen. `story` tells more of it, when it is too late. */
export async function within(what, promise, story = () => "") {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(async () => {
      const more = await Promise.resolve()
        .then(story)
        .catch((error) => `(${error.message})`);
      reject(new Error(`not within ${DEADLINE_MS / 1000} s: ${what}${more && `\n${more}`}`));
    }, DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until the answer is truthy, for what does not tell by itself. */
export async function until(what, ask, story) {
  let over = false;
  const answered = async () => {
    for (;;) {
      const answer = await ask();
      if (answer || over) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  try {
    return await within(what, answered(), story);
  } finally {
    over = true;
  }
}
