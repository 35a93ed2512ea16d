// Waiting, with an end.

/** For each thing that is waited for. Generous: a machine that does other things too must not fail a test. */
export const DEADLINE_MS = 90_000;
/** For what a failure wants to tell: who does not answer has perhaps caused it. */
const STORY_MS = 5_000;

/** What `promise` gives, or an error that names what did not happen. `story` tells more of it, when it is too late. */
export async function within(what, promise, story = () => "") {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(async () => {
      const more = await told(story);
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

async function told(story) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, STORY_MS, "(and no answer to what was seen)");
  });
  const told = Promise.resolve()
    .then(story)
    .catch((error) => `(${error.message})`);
  try {
    return await Promise.race([told, late]);
  } finally {
    clearTimeout(timer);
  }
}
