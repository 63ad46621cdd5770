const ASK_EVERY_MS = 1000;

/** Says which presenters the server is still making of its operator's films, until all are made.
 * `client` gives {preparing, conversation}, `strings()` the texts of the page; `onMade(name)` is
 * called for each that can be chosen from then on. */
export async function watchFilms({ client, strings, onMade }) {
  const { conversation } = client;
  const tell = (code, text) => conversation.notify(code, text);
  let before = [];
  for (;;) {
    const stages = await client.preparing().catch(() => null);
    // The server is away for a moment; where it has no films there is nothing to wait for.
    if (stages === null && !before.length) return;
    if (stages) {
      const making = stages.filter(({ stage }) => stage !== "failed");
      for (const name of before.filter((known) => !making.some((one) => one.name === known))) {
        conversation.dismiss("film_making");
        if (!stages.some((one) => one.name === name)) onMade(name);
        else tell("film_failed", strings().filmFailed(name));
      }
      before = making.map(({ name }) => name);
      const [first] = making;
      if (!first) return;
      const { filmMaking, myFaceStages } = strings();
      tell("film_making", filmMaking(first.name, myFaceStages[first.stage] ?? ""));
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}
