/** An answer while it is given: its events, and a film for each sentence. */
import { ConnectionLost, FilmBroken, ServerError } from "./errors.js";
import { Queue } from "./queue.js";

const ENDS = ["turn.finished", "turn.interrupted"];

export class Answer {
  turn = null;
  over = false;
  finished;
  #id;
  #queue;
  #films = new Queue();
  #known = new Set();
  #settle;

  constructor(id, interrupt) {
    this.#id = id;
    this.#queue = new Queue(interrupt);
    this.finished = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // A program may well read the events alone.
    this.finished.catch(() => {});
  }

  [Symbol.asyncIterator]() {
    return this.#queue;
  }

  films() {
    return this.#films;
  }

  /** One event of the server, and the segments that there are now. */
  apply(event, segments) {
    if (this.over) return;
    if (event.type === "error" && event.id === this.#id) {
      return this.fail(new ServerError(event.code, event.message));
    }
    if (event.type === "turn.started" && event.id === this.#id) this.turn = event.turn;
    if (this.turn === null || event.turn !== this.turn) return;
    for (const segment of segments) this.#show(segment);
    this.#queue.push(event);
    if (ENDS.includes(event.type)) this.#end(event);
  }

  fail(error) {
    if (this.over) return;
    this.over = true;
    this.#queue.end(error);
    this.#films.end(error);
    this.#settle.reject(error);
  }

  #show(segment) {
    if (segment.turn !== this.turn || this.#known.has(segment.id)) return;
    this.#known.add(segment.id);
    this.#films.push(new Film(segment));
  }

  #end(event) {
    this.over = true;
    this.#queue.end();
    this.#films.end();
    this.#settle.resolve(event);
  }
}

/** The fragments of one sentence, from a `Segment` of the page's core. */
class Film {
  #segment;

  constructor(segment) {
    this.#segment = segment;
    this.index = segment.index;
    this.text = segment.text;
    this.mime = segment.mime;
  }

  async *[Symbol.asyncIterator]() {
    const segment = this.#segment;
    for (let index = 0; ; index += 1) {
      while (index >= segment.fragments.length && !segment.complete) {
        if (segment.broken) throw new FilmBroken("A fragment is missing; the clip has all of it.");
        if (segment.dropped) throw new FilmBroken("The answer was interrupted.");
        await grown(segment);
      }
      if (index >= segment.fragments.length) return;
      yield new Uint8Array(segment.fragments[index]);
    }
  }
}

function grown(segment) {
  return new Promise((resolve) => {
    const stops = ["grown", "broken", "dropped"].map((type) =>
      segment.on(type, () => {
        for (const stop of stops) stop();
        resolve();
      }),
    );
  });
}

export function lost(code = null) {
  return new ConnectionLost("The session ended before the answer did.", code);
}
