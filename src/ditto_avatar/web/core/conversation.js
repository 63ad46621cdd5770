/**
 * What the page has to tell the person: who said what, what is going on, what went wrong. Events
 * of the server, the connection and the player in, one state out. No DOM.
 *
 * Emits `changed` after every change of `state`.
 */
import { Emitter } from "./emitter.js";

const MOST_NOTICES = 3;

export class Conversation extends Emitter {
  state = {
    line: "connecting",
    turn: null,
    speaking: false,
    spokenTurn: null,
    queue: 0,
    messages: [],
    caption: "",
    notices: [],
    sound: { blocked: false, muted: false },
    listening: null,
    transcript: "",
    language: "en",
    avatar: null,
    transcription: null,
    // Where the page says that the presenter is made by AI: top, bottom or off.
    aiLabel: "top",
    // Presenters that may be chosen; null for all.
    avatars: null,
    // What stands in the way of a session: null, "needed" or "refused".
    invitation: null,
    timings: null,
  };

  /** One word for what is happening: connecting, waiting, closed, uninvited, queued, thinking,
   * speaking, listening or ready. */
  get phase() {
    const { line, invitation, turn, speaking, queue, listening } = this.state;
    if (invitation !== null) return "uninvited";
    if (line !== "open") return line;
    if (speaking) return "speaking";
    if (turn) return queue > 0 ? "queued" : "thinking";
    return listening ? "listening" : "ready";
  }

  /** Whether there is an answer to interrupt. */
  get busy() {
    return this.state.turn !== null || this.state.speaking;
  }

  apply(event) {
    const handler = HANDLERS[event.type];
    if (!handler) return;
    handler.call(this, event);
    this.emit("changed");
  }

  update(changes) {
    Object.assign(this.state, changes);
    this.emit("changed");
  }

  /** The person sent `text`; the answer in progress, if any, is over. */
  asked(id, text) {
    this.#interruptAnswers();
    this.state.messages.push({ key: id, id, role: "user", text, state: "unsent", clips: [] });
    this.update({ turn: id, queue: 0, caption: "" });
  }

  /** The person interrupted without saying anything. */
  interrupted() {
    this.#interruptAnswers();
    this.update({ turn: null, queue: 0 });
  }

  notify(code, message = "") {
    const notices = this.state.notices.filter((notice) => notice.code !== code);
    this.update({ notices: [...notices, { code, message }].slice(-MOST_NOTICES) });
  }

  dismiss(code) {
    this.update({ notices: this.state.notices.filter((notice) => notice.code !== code) });
  }

  /** Begin anew from the session's history; what has not been sent yet stays. What the server has
   * and has not confirmed stays unsent, in its place: it is sent again, and confirmed then. */
  recall(history) {
    const unsent = this.state.messages.filter(({ state }) => state === "unsent");
    const stored = new Set(history.map(({ id }) => id));
    const said = history.map(({ role, text, heard, turn, clips, id }, index) => ({
      key: `${turn}-${role}-${index}`,
      ...(id && { id }),
      turn,
      role,
      text,
      state: heard === undefined || heard === null ? "done" : "interrupted",
      clips: clips ?? [],
    }));
    for (const message of said) {
      if (message.id && unsent.some(({ id }) => id === message.id)) message.state = "unsent";
    }
    this.state.messages = [...said, ...unsent.filter(({ id }) => !stored.has(id))];
  }

  /** Mark answers as interrupted that are neither `running` nor still to be sent. */
  giveUp(running) {
    const { turn, messages } = this.state;
    const unsent = messages.some(({ id, state }) => state === "unsent" && id === turn);
    if (turn !== running && !unsent) Object.assign(this.state, { turn: null, queue: 0 });
  }

  /** The message of the answer that is being given in `turn`. */
  answer(turn) {
    return this.state.messages.find((message) => message.turn === turn && message.role === "assistant");
  }

  /** An answer may be complete and still be spoken. */
  #interruptAnswers() {
    const { turn, spokenTurn } = this.state;
    const answers = [turn, spokenTurn].map((id) => id !== null && this.answer(id));
    for (const answer of answers.filter(Boolean)) answer.state = "interrupted";
  }
}

// `this` is the conversation.
const HANDLERS = {
  "session.ready"(event) {
    if (!event.resumed && this.state.messages.some(({ state }) => state !== "unsent")) {
      this.notify("new_session");
    }
    if (event.resumed && event.gap) this.recall(event.history);
    for (const { code, message } of event.notices ?? []) this.notify(code, message);
    // Without a gap the missed events tell how the turn went on.
    if (!event.resumed || event.gap) this.giveUp(event.running_turn ?? null);
    const { avatar, avatars = null, language, transcription = null, ai_label: aiLabel = "top" } = event;
    Object.assign(this.state, { avatar, avatars, language, transcription, aiLabel, invitation: null });
  },

  "turn.started"({ turn, id, kind, text }) {
    const { messages } = this.state;
    const asked = messages.find((message) => message.id !== undefined && message.id === id);
    if (asked) Object.assign(asked, { turn, state: "done" });
    else if (kind === "message" && !messages.some((m) => m.turn === turn && m.role === "user")) {
      messages.push({ key: `${turn}-user`, turn, role: "user", text, state: "done", clips: [] });
    }
    // What is asked again is confirmed again: nothing begins with that.
    if (this.state.turn !== turn) {
      Object.assign(this.state, { turn, queue: 0, timings: null, transcript: "" });
    }
  },

  "queue.position"({ position }) {
    this.state.queue = position;
  },

  "text.delta"({ turn, text }) {
    // A page that was loaded in mid-answer did not see the turn begin.
    this.state.turn ??= turn;
    const answer = this.answer(turn);
    if (answer) Object.assign(answer, { text: answer.text + text, state: "streaming" });
    else {
      const message = { key: `${turn}-answer`, turn, role: "assistant", text, state: "streaming" };
      this.state.messages.push({ ...message, clips: [] });
    }
  },

  video_ready(event) {
    const answer = this.answer(event.turn);
    if (answer && !answer.clips.some((clip) => clip.video_url === event.video_url)) {
      answer.clips.push(event);
    }
  },

  "turn.finished"({ turn, text, timings }) {
    let answer = this.answer(turn);
    if (!answer && text) {
      answer = { key: `${turn}-answer`, turn, role: "assistant", clips: [] };
      this.state.messages.push(answer);
    }
    if (answer) Object.assign(answer, { text: text || answer.text, state: "done" });
    if (this.state.turn === turn) this.state.turn = null;
    this.state.timings = timings ?? null;
  },

  "turn.interrupted"({ turn, reason }) {
    const answer = this.answer(turn);
    if (answer) answer.state = "interrupted";
    if (this.state.turn === turn) Object.assign(this.state, { turn: null, queue: 0 });
    if (reason === "shutdown") this.notify("shutting_down");
  },

  "avatar.selected"({ avatar }) {
    this.state.avatar = typeof avatar === "string" ? { ...this.state.avatar, name: avatar } : avatar;
  },

  "language.selected"({ language }) {
    this.state.language = language;
  },

  transcript({ text, final }) {
    this.state.transcript = final ? "" : text;
  },

  notice({ code, message }) {
    this.notify(code, message);
  },

  error({ code, message, turn = null, id = null }) {
    this.notify(code, message);
    const { messages } = this.state;
    // An error that names no message says nothing about those that wait.
    const asked = id !== null && messages.find((m) => m.id === id && m.state === "unsent");
    if (asked) asked.state = "failed";
    // Until its turn has begun, a message stands for it.
    if (this.state.turn !== null && [turn, id].includes(this.state.turn)) {
      Object.assign(this.state, { turn: null, queue: 0 });
    }
  },
};
