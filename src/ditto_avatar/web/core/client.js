/**
 * One conversation with a server, in three video elements: connects, shows the answers, tells
 * what happens. The page and the embedded element are built on it. Addresses that the server
 * names are read against its own address, so that the page may be of another origin.
 *
 * Emits
 * - `ready`       {session, resumed}: the conversation can begin, or goes on
 * - `speaking`    {text, turn}: a sentence begins, seen and heard
 * - `caption`     {text}: the text below the picture; "" when nothing is spoken
 * - `interrupted` {turn, reason}
 * - `ended`       {}: nothing is spoken any more
 * - `error`       {code, message}
 * - `event`       every server event that counts
 * - `report`      a `playback` message that was sent
 */
import { socketUrl, withAddresses } from "./addresses.js";
import { Connection, FOREIGN_PAGE, NOT_INVITED } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Emitter } from "./emitter.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";
import { Voice } from "./voice.js";

// What the server says when it does not open a session, and what then stands in its way.
const INVITATIONS = { join_needed: "needed", join_refused: "refused" };

export class AvatarClient extends Emitter {
  conversation = new Conversation();
  player;
  voice;
  /** The presenter that a new session is asked for; null for the server's choice. */
  avatar;
  #timeline = new Timeline();
  #connection;
  #server;
  #cutout;
  #invitation = null;
  #line = null;
  #videos;

  /**
   * @param videos three video elements on top of one another
   * @param {string} server the server's address, https://example.org/ or below it
   * @param storage as of `Connection`
   * @param language of a new session
   * @param avatar as of `AvatarClient.avatar`
   * @param cutout whether the presenter is shown without its background, where it can be
   */
  constructor({ videos, server, storage, language, avatar = null, cutout = false }) {
    super();
    this.#server = server;
    this.#videos = videos;
    this.avatar = avatar;
    this.#cutout = cutout;
    this.conversation.state.language = language;
    this.player = new Player({ videos, timeline: this.#timeline });
    this.#connection = new Connection({
      url: socketUrl(server),
      storage,
      preferences: (joining) => {
        const { state } = this.conversation;
        // A token says which presenters there are: the one of the last session may not be.
        const name = (!joining && state.avatar?.name) || this.avatar;
        const { playback } = this.player;
        return {
          language: state.language,
          playback,
          ...(name && { avatar: name }),
          ...(this.#cutout && { cutout: true }),
        };
      },
    });
    this.voice = new Voice({
      connection: this.#connection,
      conversation: this.conversation,
      idleFrame: () => this.player.idleFrame,
      onText: (text) => this.ask(text),
      onSpeech: () => this.interrupt(),
      line: () => this.#line,
    });
    this.#listen();
  }

  /** {session, token} of the conversation, or null before there is one. */
  get session() {
    return this.#connection.session;
  }

  /** Connect; with a join token where the server asks for one. */
  start(token = null) {
    if (token) this.#connection.join(token);
    this.#connection.start();
  }

  /** Open a session with a join token, as of `Connection.join`. */
  join(token) {
    this.#connection.join(token);
  }

  /** Leaves nothing running: the line, the microphone, the videos. Cannot be undone. */
  close() {
    this.voice.set(null);
    this.#connection.close();
    this.player.close();
  }

  /** The person says `text`; an answer in progress ends here, not when the server agrees. */
  ask(text) {
    this.#submit("user.text", text);
  }

  /** The presenter says `text` as it is. */
  say(text) {
    this.#submit("say", text);
  }

  interrupt() {
    if (!this.conversation.busy) return;
    this.#tellInterrupted();
    this.conversation.interrupted();
    this.player.interrupt();
    this.#connection.send({ type: "interrupt" });
  }

  /** Shows clips of the history once more. */
  replay(clips) {
    this.#timeline.replay(clips);
  }

  setAvatar(name) {
    const cutout = this.#cutout && { cutout: true };
    this.#connection.send({ type: "avatar.select", avatar: name, ...cutout });
  }

  /** Ids of voices, one for each language; without any the presenter's own speak. */
  setVoices(voices) {
    this.#connection.send({ type: "voice.select", voices });
  }

  setLanguage(language) {
    this.conversation.update({ language });
    this.#connection.send({ type: "language.select", language });
  }

  /** The window is back, or the network: come back at once, and play on. */
  wake() {
    this.#connection.retryNow();
    this.#line?.wake();
    this.player.wake();
  }

  /** The presenters that the server has. Rejects when they cannot be loaded. */
  async avatars() {
    const answer = await fetch(new URL("api/avatars", this.#server));
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return withAddresses(await answer.json(), this.#server);
  }

  /** The presenters that are still being made of films, [{name, stage}]. Rejects like `avatars`. */
  async preparing() {
    const answer = await fetch(new URL("api/avatars/preparing", this.#server));
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }

  #submit(type, text) {
    const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    const { idleFrame } = this.player;
    if (this.conversation.busy) this.#tellInterrupted();
    if (type === "user.text") this.conversation.asked(id, text);
    else this.conversation.interrupted();
    this.player.interrupt();
    this.player.expectAnswer();
    this.#connection.send({ type, id, text, idle_frame: idleFrame });
  }

  /** Told at once: what the server says of an answer that was stopped here is old by then. */
  #tellInterrupted() {
    const { turn, spokenTurn } = this.conversation.state;
    this.emit("interrupted", { turn: turn ?? spokenTurn, reason: "user" });
  }

  #listen() {
    const { conversation, player } = this;
    const connection = this.#connection;
    connection.on("state", ({ state, code }) => this.#lineChanged(state, code));
    connection.on("event", (event) => this.#receive(withAddresses(event, this.#server)));
    connection.on("fragment", ({ header, bytes }) => this.#timeline.addFragment(header, bytes));
    connection.on("fault", (fault) => console.warn(fault));
    player.on("fault", (fault) => console.warn(fault));
    player.on("speaking", ({ text, turn, replayed }) => {
      conversation.update({ speaking: true, caption: text, spokenTurn: replayed ? null : turn });
      this.emit("speaking", { text, turn });
      this.emit("caption", { text });
    });
    player.on("idle", () => {
      conversation.update({ speaking: false, caption: "", spokenTurn: null });
      this.emit("caption", { text: "" });
      this.emit("ended", {});
    });
    player.on("sound", (sound) => conversation.update({ sound }));
    player.on("report", (report) => {
      this.emit("report", report);
      connection.send({ type: "playback", ...report });
    });
  }

  #receive(event) {
    // The connection begins anew by itself.
    if (event.type === "error" && event.code === "unauthorized") return;
    if (event.type === "error") this.emit("error", { code: event.code, message: event.message });
    if (event.type === "error" && event.code in INVITATIONS) {
      this.#invitation = INVITATIONS[event.code];
      return;
    }
    if (event.type === "session.ready") this.#begin(event);
    if (event.type === "rtc.answer") return void this.#line?.answer(event.sdp);
    if (event.type === "error" && event.id?.startsWith("rtc-")) return this.#line?.refused();
    if (!this.#timeline.apply(event)) return;
    this.conversation.apply(event);
    if (event.type === "transcript" && event.final) this.player.expectAnswer();
    if (event.type === "session.ready" || event.type === "avatar.selected") {
      const { avatar } = this.conversation.state;
      if (avatar) this.player.setAvatar(avatar);
    }
    this.emit("event", event);
    if (event.type === "session.ready") {
      this.emit("ready", { session: event.session, resumed: event.resumed });
    } else if (event.type === "turn.interrupted") {
      this.emit("interrupted", { turn: event.turn, reason: event.reason });
    }
  }

  #begin({ resumed, gap, running_turn: running, rtc }) {
    // The conversation before an invitation that was refused goes on.
    if (this.#invitation === "refused") this.conversation.notify("join_refused");
    this.#invitation = null;
    if (!resumed) this.#timeline.reset();
    else if (gap) this.#timeline.skip(running ?? null);
    // What is cut out lies in the film beside its picture, sharp: fragments carry it unchanged.
    if (rtc && !this.#cutout && globalThis.RTCPeerConnection) this.#openLine(rtc);
    else this.#line?.close();
  }

  /** What WebRTC needs is loaded where the server has it. */
  async #openLine(settings) {
    const [{ RtcLine }, { systemClock }] = await Promise.all([import("./rtc.js"), import("./clock.js")]);
    if (!this.#line) {
      const last = this.#videos.at(-1);
      const video = last.cloneNode(false);
      last.after(video);
      const send = (message) => this.#connection.send(message);
      this.#line = new RtcLine({ send, video, clock: systemClock });
      this.player.showLive(this.#line);
    }
    await this.#line.start(settings);
  }

  #lineChanged(line, code) {
    const { conversation } = this;
    if (line !== "open") this.#line?.close();
    if (line === "waiting") this.#timeline.breakOff();
    if (code === 1013) this.#notify("busy");
    if (code === FOREIGN_PAGE) this.#notify("foreign_page");
    if (code === NOT_INVITED) {
      conversation.update({ invitation: this.#invitation ?? "needed" });
      this.#invitation = null;
    }
    if (line === "open") for (const done of ["busy", "shutting_down"]) conversation.dismiss(done);
    conversation.update({ line });
  }

  #notify(code) {
    this.conversation.notify(code);
    this.emit("error", { code, message: "" });
  }
}
