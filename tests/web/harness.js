/** What the tests of the core share: expectations, time by hand, a socket and a storage. */
export function equal(actual, expected, what = "value") {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${what}: expected ${right}, got ${left}`);
}

export function truthy(actual, what) {
  if (!actual) throw new Error(what);
}

/** A clock that moves only when told. */
export class FakeClock {
  #now = 0;
  #timers = new Map();
  #next = 1;

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    this.#timers.set(this.#next, { at: this.#now + ms, callback });
    return this.#next++;
  };

  clearTimeout = (timer) => this.#timers.delete(timer);

  get waiting() {
    return [...this.#timers.values()].map(({ at }) => at - this.#now);
  }

  /** Moves on by `ms`, calling what becomes due in order. */
  async advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at);
      if (due.length === 0) break;
      const [timer, { at, callback }] = due[0];
      this.#timers.delete(timer);
      this.#now = at;
      callback();
      await settled();
    }
    this.#now = end;
    await settled();
  }
}

/** Lets everything that is already resolved run. */
export async function settled() {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A WebSocket that a test speaks through. */
export class FakeSocket {
  sent = [];
  bufferedAmount = 0;
  closed = false;

  constructor(url) {
    this.url = url;
  }

  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
  }

  close() {
    this.closed = true;
  }

  open() {
    this.onopen();
  }

  say(event) {
    this.onmessage({ data: typeof event === "string" ? event : JSON.stringify(event) });
  }

  sayBytes(count) {
    this.onmessage({ data: new ArrayBuffer(count) });
  }

  hangUp(code) {
    this.onclose({ code });
  }
}

export class FakeStorage {
  #values = new Map();
  getItem = (key) => this.#values.get(key) ?? null;
  setItem = (key, value) => void this.#values.set(key, value);
  removeItem = (key) => void this.#values.delete(key);
}
