import type { Language, ServerMessage, SessionReady, TurnFinished, TurnInterrupted } from "./protocol.js";

export * from "./protocol.js";

export interface Storage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

export interface ConnectOptions {
  /** A join token, or, in a program that holds one, a key; where the server asks for one. */
  join?: string;
  /** The presenter of a new session; without it, the server's choice. */
  avatar?: string;
  language?: Language;
  /** Where the session is kept, to come back to it later: `sessionStorage` in a page. Without it,
   * as long as the program runs. */
  storage?: Storage;
  /** Milliseconds until the session must be there; 60,000 if left out. */
  withinMs?: number;
  /** Gives up opening. Has no effect on a session that is open. */
  signal?: AbortSignal;
  /** Another WebSocket than the platform's. */
  openSocket?: (url: string) => WebSocket;
}

/**
 * Open a session at `server` (`https://example.org`). Rejects with `ServerError` when the server
 * refuses, `ConnectionLost` when it cannot be reached or is silent, and the signal's reason when
 * that gives up; nothing stays open then.
 */
export function connect(server: string, options?: ConnectOptions): Promise<Avatar>;

export interface LineState {
  /** "waiting": the line broke, and is tried again after `retryMs`. */
  state: "connecting" | "open" | "waiting" | "closed";
  /** The close code of the WebSocket, null where there was none. */
  code: number | null;
  retryMs: number | null;
}

type Listeners = { [Type in ServerMessage["type"]]: Extract<ServerMessage, { type: Type }> } & {
  /** Every event of the server. */
  event: ServerMessage;
  state: LineState;
};

/** A conversation. It comes back by itself after a break, and asks for the events it missed. */
export interface Avatar {
  readonly ready: SessionReady;
  readonly state: LineState["state"];
  readonly session: { session: string; token: string } | null;

  /** Ask something. Another answer that is being given ends. */
  ask(text: string, options?: { signal?: AbortSignal }): Answer;
  /** Let the presenter say `text` as it is. */
  say(text: string, options?: { signal?: AbortSignal }): Answer;
  interrupt(): void;
  setAvatar(name: string): void;
  setLanguage(language: Language): void;

  /** Call `listener` with every message of a type; returns the function that stops it. */
  on<Type extends keyof Listeners>(type: Type, listener: (event: Listeners[Type]) => void): () => void;
  /** Iterate over all events from now on. Leaving the loop ends it. What is not read is kept. */
  events(): AsyncIterableIterator<ServerMessage>;

  /** Try again at once, when the line is waiting. */
  wake(): void;
  /** Ends the connection and every answer that is read. */
  close(): void;
}

/**
 * An answer while it is given. Iterate over its events; the last is `turn.finished` or
 * `turn.interrupted`. Leaving the loop early interrupts the answer. The iteration throws
 * `ServerError` when the server refuses the text, `ConnectionLost` when the session ended.
 */
export interface Answer extends AsyncIterable<ServerMessage> {
  /** The turn's id, null until the server has taken the text. */
  readonly turn: string | null;
  /** The last event; rejects as the iteration does. */
  readonly finished: Promise<TurnFinished | TurnInterrupted>;
  /** Iterate over the sentences. What is not read is kept until the next answer. */
  films(): AsyncIterableIterator<Film>;
}

/** A sentence: its fragments, in order, are one MP4 that can be played or piped as it comes. The
 * iteration throws `FilmBroken` when some are missing. */
export interface Film extends AsyncIterable<Uint8Array> {
  readonly index: number;
  readonly text: string;
  /** The type as `MediaSource.addSourceBuffer` takes it. */
  readonly mime: string;
}

/** The server refused something. `code` is one of docs/protocol.md. */
export class ServerError extends Error {
  readonly code: string;
}

/** The connection could not be opened, or the session ended before the answer did. */
export class ConnectionLost extends Error {
  /** The close code of the WebSocket, null where there was none. */
  readonly code: number | null;
}

/** Fragments of a sentence are missing: the line broke, or the answer was interrupted. The clip of
 * a sentence that was drawn comes with `video_ready`. */
export class FilmBroken extends Error {}
