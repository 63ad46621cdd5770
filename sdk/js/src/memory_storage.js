/** Keeps a session as long as the program runs; the interface of sessionStorage. */
export class MemoryStorage {
  #values = new Map();

  getItem(name) {
    return this.#values.get(name) ?? null;
  }

  setItem(name, value) {
    this.#values.set(name, value);
  }

  removeItem(name) {
    this.#values.delete(name);
  }
}
