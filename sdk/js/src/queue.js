/** Values on their way from one that calls to one that iterates; ends well or with an error. */
export class Queue {
  #values = [];
  #waiting = [];
  #over = false;
  #error = null;
  #left;

  /** @param left called when the reader leaves before the end */
  constructor(left = () => {}) {
    this.#left = left;
  }

  push(value) {
    if (this.#over) return;
    const reader = this.#waiting.shift();
    if (reader) reader.resolve({ value, done: false });
    else this.#values.push(value);
  }

  end(error = null) {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    for (const reader of this.#waiting.splice(0)) this.#finish(reader);
  }

  next() {
    return new Promise((resolve, reject) => {
      if (this.#values.length) resolve({ value: this.#values.shift(), done: false });
      else if (this.#over) this.#finish({ resolve, reject });
      else this.#waiting.push({ resolve, reject });
    });
  }

  async return() {
    const early = !this.#over;
    this.end();
    this.#values = [];
    this.#error = null;
    if (early) this.#left();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** The error is told once; after that the end is all there is. */
  #finish({ resolve, reject }) {
    const error = this.#error;
    this.#error = null;
    if (error) reject(error);
    else resolve({ value: undefined, done: true });
  }
}
