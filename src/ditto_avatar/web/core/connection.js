/**
 * The WebSocket of one conversation: says hello, keeps the line alive, comes back after a break
 * and asks for what it missed. Speaks docs/protocol.md and knows nothing of the page.
 *
 * The session is kept in the tab's storage; what has been seen of it, only in the page.
 *
 * Emits
 * - `state`    {state: "connecting" | "open" | "waiting" | "closed", code, retryMs}
 * - `event`    one server event
 * - `fragment` {header, bytes}: a `segment.data` header with the binary frame that belongs to it
 * - `fault`    a frame that cannot be understood (a sentence for the console)
 */
import { systemClock } from "./clock.js";
import { Emitter } from "./emitter.js";

export const PING_MS = 30_000;
export const PONG_WITHIN_MS = 10_000;
export const READY_WITHIN_MS = 15_000;
export const FIRST_RETRY_MS = 3_000;
export const LONGEST_RETRY_MS = 30_000;
/** A server that stops leaves its sessions to the next one, which is there already. */
export const LONGEST_MOVE_MS = 1_000;

const STORAGE_KEY = "ditto-avatar.session";
/** The end of the join token that the session was opened with. */
const JOINED_KEY = "ditto-avatar.joined";
const JOINED_CHARACTERS = 24;
const WRONG_TOKEN = 4401;
const NO_HELLO = 4400;
const RESTART = 1012;
/** The server does not take this page's address, now or later. */
export const FOREIGN_PAGE = 4403;
/** The server wants a join token, or another one than it was given. */
export const NOT_INVITED = 4407;
// Messages that wait for their `turn.started`; a person does not type more than this in a break.
const MOST_UNANSWERED = 8;
// Beyond this the line is too slow for live sound: what was said late helps nobody.
const MOST_UNSENT_AUDIO_BYTES = 64_000;

/** Milliseconds before attempt `attempt` (0 is the first retry): 3 s, then doubling up to 30 s,
 * with up to half of it taken off at random so that browsers do not come back all at once. */
export function retryDelay(attempt, random = Math.random) {
  if (attempt === 0) return FIRST_RETRY_MS;
  const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt);
  return Math.round(longest * (1 - random() / 2));
}

export class Connection extends Emitter {
  #url;
  #storage;
  #preferences;
  #openSocket;
  #clock;
  #random;
  #socket = null;
  #state = "connecting";
  #attempt = 0;
  #header = null;
  // A join token that no session was opened with yet.
  #join = null;
  // The last event this page saw. A page that was loaded anew has seen none and gets the history.
  #seen = null;
  #epoch = null;
  #unanswered = new Map();
  #timers = { retry: null, ping: null, pong: null, ready: null };

  /**
   * @param {string} url ws:// or wss://
   * @param storage `getItem`, `setItem`, `removeItem` (sessionStorage: one session per tab)
   * @param preferences (joining) => {avatar?, language?, playback}: what `hello` says beside the
   *   session; `joining` with a join token
   * @param openSocket (url) => WebSocket
   */
  constructor({
    url,
    storage,
    preferences,
    openSocket = (address) => new WebSocket(address),
    clock = systemClock,
    random = Math.random,
  }) {
    super();
    this.#url = url;
    this.#storage = storage;
    this.#preferences = preferences;
    this.#openSocket = openSocket;
    this.#clock = clock;
    this.#random = random;
  }

  get state() {
    return this.#state;
  }

  /** {session, token} of the conversation, or null before there is one. */
  get session() {
    try {
      return JSON.parse(this.#storage.getItem(STORAGE_KEY) ?? "null");
    } catch {
      return null;
    }
  }

  start() {
    if (!this.#socket) this.#open();
  }

  /** Open a new session with a join token. The one that the present session was opened with
   * changes nothing: a link may be followed twice. */
  join(token) {
    if (this.session && this.#storage.getItem(JOINED_KEY) === ending(token)) return;
    this.#join = token;
    if (this.#socket || this.#state !== "connecting") this.#open();
  }

  /** Try again at once, when waiting: the network is back or the person asks for it. */
  retryNow() {
    if (this.#state === "waiting") this.#open();
  }

  close() {
    this.#enter("closed");
    this.#drop();
  }

  /** Sends now, or, for a message with an `id`, as soon as the session is back. */
  send(message) {
    if (message.id !== undefined && message.type !== "rtc.offer") this.#remember(message);
    if (this.#state === "open") this.#socket.send(JSON.stringify(message));
    return this.#state === "open" || this.#unanswered.has(message.id);
  }

  /** Microphone samples; false when they were dropped because the line is down or too slow. */
  sendAudio(samples) {
    const free = this.#state === "open" && this.#socket.bufferedAmount < MOST_UNSENT_AUDIO_BYTES;
    if (free) this.#socket.send(samples);
    return free;
  }

  #remember(message) {
    this.#unanswered.set(message.id, message);
    if (this.#unanswered.size > MOST_UNANSWERED) {
      this.#unanswered.delete(this.#unanswered.keys().next().value);
    }
  }

  #open() {
    this.#drop();
    this.#enter("connecting");
    const socket = this.#openSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    // A socket that was given up may still speak; only the present one is heard.
    const heard = (handler) => (event) => socket === this.#socket && handler(event);
    socket.onopen = heard(() => this.#hello());
    socket.onmessage = heard((event) => this.#receive(event.data));
    socket.onclose = heard((event) => this.#closed(event.code));
    this.#after("ready", READY_WITHIN_MS, () => this.#closed(1006));
  }

  #hello() {
    const hello = { type: "hello", ...this.#preferences(this.#join !== null) };
    if (this.#join !== null) hello.join = this.#join;
    else {
      Object.assign(hello, this.session);
      if (this.session && this.#seen !== null) Object.assign(hello, this.#seen);
    }
    this.#socket.send(JSON.stringify(hello));
  }

  #receive(data) {
    if (typeof data !== "string") return this.#receiveBinary(data);
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return this.emit("fault", "The server sent a text frame that is not JSON.");
    }
    if (event.type === "pong") return this.#cancel("pong");
    if (event.type === "segment.data") return this.#receiveHeader(event);
    if (event.type === "session.ready") this.#ready(event);
    else if (event.seq !== undefined) this.#see(event.seq);
    if (event.type === "turn.started") this.#unanswered.delete(event.id);
    if (event.type === "error") this.#unanswered.delete(event.id);
    this.emit("event", event);
  }

  #receiveHeader(header) {
    if (header.bytes > 0) this.#header = header;
    else this.emit("fragment", { header, bytes: null });
  }

  #receiveBinary(bytes) {
    const header = this.#header;
    this.#header = null;
    if (!header || header.bytes !== bytes.byteLength) {
      this.emit("fault", `A binary frame of ${bytes.byteLength} bytes came without its header.`);
      return;
    }
    this.emit("fragment", { header, bytes });
  }

  #ready(event) {
    this.#cancel("ready");
    this.#attempt = 0;
    // Without a gap the missed events follow and move the mark themselves.
    this.#epoch = event.epoch;
    if (!event.resumed || event.gap) this.#see(event.seq);
    const { session, token } = event;
    this.#storage.setItem(STORAGE_KEY, JSON.stringify({ session, token }));
    if (this.#join !== null) this.#storage.setItem(JOINED_KEY, ending(this.#join));
    this.#join = null;
    this.#enter("open");
    this.#pingLater();
    for (const message of this.#unanswered.values()) this.#socket.send(JSON.stringify(message));
  }

  /** Events are numbered anew by each server that takes the session: each has an epoch. */
  #see(seq) {
    this.#seen = { after: seq, epoch: this.#epoch };
  }

  #pingLater() {
    this.#after("ping", PING_MS, () => {
      this.send({ type: "ping", t: Math.round(this.#clock.now()) });
      this.#after("pong", PONG_WITHIN_MS, () => this.#closed(1006));
      this.#pingLater();
    });
  }

  #closed(code) {
    if (this.#state === "closed") return;
    this.#drop();
    if (code === NO_HELLO || code === FOREIGN_PAGE) return this.#enter("closed", code);
    if (code === NOT_INVITED) return this.#notInvited();
    if (code === WRONG_TOKEN && this.session) {
      this.#storage.removeItem(STORAGE_KEY);
      this.#seen = null;
      return this.#open();
    }
    const moves = code === RESTART && this.#attempt === 0;
    const retryMs = moves
      ? Math.round(LONGEST_MOVE_MS * this.#random())
      : retryDelay(this.#attempt, this.#random);
    this.#attempt += 1;
    this.#after("retry", retryMs, () => this.#open());
    this.#enter("waiting", code, retryMs);
  }

  /** Go back to the session there was before a token that was refused, if there was one. */
  #notInvited() {
    const before = this.#join !== null && this.session;
    this.#join = null;
    if (before) return this.#open();
    this.#storage.removeItem(STORAGE_KEY);
    this.#seen = null;
    this.#enter("closed", NOT_INVITED);
  }

  #drop() {
    for (const name of Object.keys(this.#timers)) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    this.#header = null;
    socket?.close();
  }

  #enter(state, code = null, retryMs = null) {
    this.#state = state;
    this.emit("state", { state, code, retryMs });
  }

  #after(name, ms, callback) {
    this.#cancel(name);
    this.#timers[name] = this.#clock.setTimeout(callback, ms);
  }

  #cancel(name) {
    this.#clock.clearTimeout(this.#timers[name]);
    this.#timers[name] = null;
  }
}

function ending(token) {
  return token.slice(-JOINED_CHARACTERS);
}
