/** A conversation without a picture of its own, upon the page's connection and timeline. */
import { Answer, lost } from "./answer.js";
import { socketUrl, withAddresses } from "./core/addresses.js";
import { Connection } from "./core/connection.js";
import { Emitter } from "./core/emitter.js";
import { Timeline } from "./core/timeline.js";
import { ConnectionLost, ServerError } from "./errors.js";
import { MemoryStorage } from "./memory_storage.js";
import { Queue } from "./queue.js";

const WITHIN_MS = 60_000;

/** Open a session, as index.d.ts says of `connect`. */
export async function open(server, options) {
  const { join, signal, withinMs = WITHIN_MS, ...rest } = options;
  signal?.throwIfAborted();
  const avatar = new Avatar(server, rest);
  const timer = setTimeout(
    () => avatar.close(new ConnectionLost(`The server did not answer within ${withinMs} ms.`)),
    withinMs,
  );
  const aborted = () => avatar.close(signal.reason);
  signal?.addEventListener("abort", aborted);
  try {
    await avatar.begin(join);
    return avatar;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted);
  }
}

class Avatar extends Emitter {
  ready = null;
  #server;
  #connection;
  #timeline = new Timeline();
  #answers = new Set();
  #readers = new Set();
  #waiting = null;
  #refusal = null;
  #language;
  #presenter;

  constructor(server, { avatar, language, openSocket, storage = new MemoryStorage() }) {
    super();
    this.#server = new URL(server.endsWith("/") ? server : `${server}/`).href;
    this.#presenter = avatar;
    this.#language = language;
    const connection = new Connection({
      url: socketUrl(this.#server),
      storage,
      openSocket,
      preferences: () => ({
        playback: "stream",
        ...(this.#presenter && { avatar: this.#presenter }),
        ...(this.#language && { language: this.#language }),
      }),
    });
    this.#connection = connection;
    connection.on("state", (change) => this.#changed(change));
    connection.on("event", (event) => this.#receive(withAddresses(event, this.#server)));
    connection.on("fragment", ({ header, bytes }) => this.#timeline.addFragment(header, bytes));
    // Whoever reads a film that is not wanted any more must not wait for ever.
    this.#timeline.on("dropped", (segment) => {
      segment.dropped = true;
      segment.emit("dropped");
    });
  }

  get state() {
    return this.#connection.state;
  }

  get session() {
    return this.#connection.session;
  }

  begin(join) {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (join) this.#connection.join(join);
      this.#connection.start();
    });
  }

  ask(text, options) {
    return this.#submit("user.text", text, options);
  }

  say(text, options) {
    return this.#submit("say", text, options);
  }

  interrupt() {
    this.send({ type: "interrupt" });
  }

  setAvatar(name) {
    this.#presenter = name;
    this.send({ type: "avatar.select", avatar: name });
  }

  setLanguage(language) {
    this.#language = language;
    this.send({ type: "language.select", language });
  }

  send(message) {
    return this.#connection.send(message);
  }

  events() {
    const reader = new Queue(() => this.#readers.delete(reader));
    if (this.state === "closed") reader.end();
    else this.#readers.add(reader);
    return reader;
  }

  wake() {
    this.#connection.retryNow();
  }

  close(error = null) {
    this.#connection.close();
    this.#end(error);
  }

  #submit(type, text, { signal } = {}) {
    const id = crypto.randomUUID();
    const answer = new Answer(id, () => this.interrupt());
    if (signal?.aborted) {
      answer.fail(signal.reason);
      return answer;
    }
    const aborted = () => {
      if (!answer.over) this.interrupt();
      answer.fail(signal.reason);
    };
    signal?.addEventListener("abort", aborted);
    const done = () => {
      this.#answers.delete(answer);
      signal?.removeEventListener("abort", aborted);
    };
    answer.finished.then(done, done);
    this.#answers.add(answer);
    if (this.state === "closed") answer.fail(lost());
    else this.send({ type, id, text });
    return answer;
  }

  #receive(event) {
    if (event.type === "session.ready") this.#begun(event);
    // An error with a code that ends the connection is told by its end.
    if (event.type === "error" && this.#waiting) this.#refusal = event;
    if (!this.#timeline.apply(event)) return;
    for (const answer of [...this.#answers]) answer.apply(event, this.#timeline.segments);
    this.emit(event.type, event);
    this.emit("event", event);
    for (const reader of this.#readers) reader.push(event);
  }

  #begun(event) {
    const { resumed, gap, running_turn: running } = event;
    this.ready = event;
    if (!resumed) this.#timeline.reset();
    else if (gap) this.#timeline.skip(running ?? null);
    for (const answer of [...this.#answers]) {
      const gone = !resumed || (gap && answer.turn !== running);
      if (answer.turn !== null && gone) answer.fail(lost());
    }
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  #changed({ state, code, retryMs }) {
    if (state === "waiting") this.#timeline.breakOff();
    this.emit("state", { state, code, retryMs });
    // The first attempt fails for good: an address that is wrong stays wrong.
    if (state === "waiting" && this.#waiting) this.close(this.#refused(code));
    else if (state === "closed" && code !== null) this.#end(this.#refused(code));
  }

  #refused(code) {
    if (this.#refusal) return new ServerError(this.#refusal.code, this.#refusal.message);
    return new ConnectionLost(`The connection ended (${code}).`, code);
  }

  #end(error) {
    this.#waiting?.reject(error ?? lost());
    this.#waiting = null;
    this.#timeline.reset();
    for (const answer of [...this.#answers]) answer.fail(error ?? lost());
    for (const reader of this.#readers) reader.end(error);
    this.#readers.clear();
  }
}
