/** The smallest observer: named events, each with one value. */
export class Emitter {
  #listeners = new Map();

  /** Call `listener(value)` on every `type`; returns the function that stops it. */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(type, listeners);
    return () => listeners.delete(listener);
  }

  emit(type, value) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) listener(value);
  }
}
