/** Puts the page together: the core on one side, the views on the other. */
import { Connection, FOREIGN_PAGE, NOT_INVITED } from "./core/connection.js";
import { Conversation } from "./core/conversation.js";
import { Player } from "./core/player.js";
import { Timeline } from "./core/timeline.js";
import { ComposerView } from "./ui/composer.js";
import { DebugView } from "./ui/debug.js";
import { byId } from "./ui/dom.js";
import { takeJoinToken } from "./ui/invitation.js";
import { LanguagesView } from "./ui/languages.js";
import { LogView } from "./ui/log.js";
import { keptFace, MyFaceView } from "./ui/my_face.js";
import { NoticesView } from "./ui/notices.js";
import { PresentersView } from "./ui/presenters.js";
import { StageView } from "./ui/stage.js";
import { ownConversation, tabStorage } from "./ui/storage.js";
import { preferredLanguage, STRINGS, translate } from "./ui/strings.js";
import { VoiceInput } from "./ui/voice.js";

const LANGUAGE_KEY = "ditto-avatar.language";
const LOW_WINDOW_PX = 430;
const OVERLAY_MS = 250;
// What the server says when it does not open a session, and what then stands in its way.
const INVITATIONS = { join_needed: "needed", join_refused: "refused" };

class Page {
  #timeline = new Timeline();
  #conversation = new Conversation();
  #player;
  #connection;
  #views;
  #debug = null;
  #avatars = [];
  #language = null;
  #drawing = false;
  #invitation = null;
  #storage = tabStorage();

  constructor() {
    this.#conversation.state.language = this.#rememberedLanguage();
    const videos = [...byId("layers").querySelectorAll("video")];
    this.#player = new Player({ videos, timeline: this.#timeline });
    this.#connection = new Connection({
      url: socketUrl(),
      storage: this.#storage,
      preferences: () => ({
        language: this.#conversation.state.language,
        playback: this.#player.playback,
        ...(this.#conversation.state.avatar && { avatar: this.#conversation.state.avatar.name }),
      }),
    });
    const voice = new VoiceInput({
      connection: this.#connection,
      conversation: this.#conversation,
      idleFrame: () => this.#player.idleFrame,
      onText: (text) => this.ask(text),
      onSpeech: () => this.#conversation.busy && this.interrupt(),
    });
    this.#views = this.#createViews(voice);
  }

  start() {
    this.#listen();
    this.#watchWindow();
    if (new URLSearchParams(location.search).has("debug")) this.#showDebug();
    this.#draw();
    this.#join();
    ownConversation(this.#storage).then(() => this.#connection.start());
    this.#loadAvatars();
    // On a phone this would open the keyboard over the face.
    if (matchMedia("(pointer: fine)").matches) this.#views.composer.focus();
  }

  /** The person says `text`; an answer in progress ends here, not when the server agrees. */
  ask(text) {
    const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    const { idleFrame } = this.#player;
    this.#conversation.asked(id, text);
    this.#player.interrupt();
    this.#player.expectAnswer();
    this.#connection.send({ type: "user.text", id, text, idle_frame: idleFrame });
  }

  interrupt() {
    if (!this.#conversation.busy) return;
    this.#conversation.interrupted();
    this.#player.interrupt();
    this.#connection.send({ type: "interrupt" });
  }

  #join() {
    const token = takeJoinToken();
    if (token) this.#connection.join(token);
  }

  #createViews(voice) {
    return {
      stage: new StageView({
        onMute: () => {
          const { blocked, muted } = this.#player.sound;
          this.#player.setMuted(!(muted || blocked));
        },
        onUnmute: () => this.#player.setMuted(false),
      }),
      log: new LogView({
        onAsk: (text) => this.ask(text),
        onReplay: ({ clips }) => this.#timeline.replay(clips),
      }),
      notices: new NoticesView({ onDismiss: (code) => this.#conversation.dismiss(code) }),
      composer: new ComposerView({
        onSend: (text) => this.ask(text),
        onInterrupt: () => this.interrupt(),
      }),
      presenters: new PresentersView({ onChoose: ({ name }) => this.#chooseAvatar(name) }),
      myFace: new MyFaceView({
        session: () => this.#connection.session,
        onMade: (avatar) => this.#showFace(avatar),
        onRemoved: (name) => this.#forgetFace(name),
      }),
      languages: new LanguagesView({ onChoose: (language) => this.#chooseLanguage(language) }),
      voice,
    };
  }

  #listen() {
    const [connection, conversation, player] = [this.#connection, this.#conversation, this.#player];
    conversation.on("changed", () => this.#draw());
    connection.on("state", ({ state, code }) => this.#lineChanged(state, code));
    connection.on("event", (event) => this.#receive(event));
    connection.on("fragment", ({ header, bytes }) => this.#timeline.addFragment(header, bytes));
    connection.on("fault", (fault) => console.warn(fault));
    player.on("fault", (fault) => console.warn(fault));
    player.on("speaking", ({ text, turn, replayed }) =>
      conversation.update({ speaking: true, caption: text, spokenTurn: replayed ? null : turn }),
    );
    player.on("idle", () => conversation.update({ speaking: false, caption: "", spokenTurn: null }));
    player.on("sound", (sound) => conversation.update({ sound }));
    player.on("report", (report) => {
      this.#debug?.note(report);
      connection.send({ type: "playback", ...report });
    });
  }

  #receive(event) {
    // The connection begins anew by itself.
    if (event.type === "error" && event.code === "unauthorized") return;
    if (event.type === "error" && event.code in INVITATIONS) {
      this.#invitation = INVITATIONS[event.code];
      return;
    }
    if (event.type === "session.ready") {
      // The conversation before an invitation that was refused goes on.
      if (this.#invitation === "refused") this.#conversation.notify("join_refused");
      this.#invitation = null;
      if (!event.resumed) this.#timeline.reset();
      else if (event.gap) this.#timeline.skip(event.running_turn ?? null);
    }
    if (!this.#timeline.apply(event)) return;
    this.#conversation.apply(event);
    if (event.type === "transcript" && event.final) this.#player.expectAnswer();
    if (event.type === "session.ready" || event.type === "avatar.selected") {
      const { avatar } = this.#conversation.state;
      if (avatar) this.#player.setAvatar(avatar);
    }
  }

  #lineChanged(line, code) {
    if (line === "waiting") this.#timeline.breakOff();
    if (code === 1013) this.#conversation.notify("busy");
    if (code === FOREIGN_PAGE) this.#conversation.notify("foreign_page");
    if (code === NOT_INVITED) {
      this.#conversation.update({ invitation: this.#invitation ?? "needed" });
      this.#invitation = null;
    }
    if (line === "open") for (const done of ["busy", "shutting_down"]) this.#conversation.dismiss(done);
    this.#conversation.update({ line });
  }

  #chooseAvatar(name) {
    this.#connection.send({ type: "avatar.select", avatar: name });
  }

  /** Shows a face that was just made, and lets it say a sentence. */
  #showFace(avatar) {
    this.#avatars = [...this.#avatars, avatar];
    this.#chooseAvatar(avatar.name);
    const text = STRINGS[this.#conversation.state.language].myFaceSentence;
    this.#connection.send({ type: "say", text, idle_frame: 0 });
    this.#draw();
  }

  #forgetFace(name) {
    this.#avatars = this.#avatars.filter((avatar) => avatar.name !== name);
    if (this.#conversation.state.avatar?.name === name && this.#avatars.length) {
      this.#chooseAvatar(this.#avatars[0].name);
    }
    this.#draw();
  }

  #chooseLanguage(language) {
    this.#conversation.update({ language });
    try {
      localStorage.setItem(LANGUAGE_KEY, language);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    this.#connection.send({ type: "language.select", language });
  }

  #rememberedLanguage() {
    try {
      const language = localStorage.getItem(LANGUAGE_KEY);
      if (language in STRINGS) return language;
    } catch {
      // No storage: the browser's own language will do.
    }
    return preferredLanguage(navigator.languages);
  }

  async #loadAvatars() {
    try {
      const answer = await fetch("api/avatars");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const own = keptFace();
      this.#avatars = [...(await answer.json()), ...(own ? [own.avatar] : [])];
    } catch (error) {
      console.warn(`The presenters could not be loaded: ${error.message}`);
      this.#conversation.notify("avatars_failed");
    }
    this.#draw();
  }

  #watchWindow() {
    const unlock = () => this.#player.unlock();
    for (const type of ["click", "keydown", "touchend"]) addEventListener(type, unlock, { capture: true });
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.interrupt();
    });
    // A link that is opened where the page is already open changes nothing but the fragment.
    addEventListener("hashchange", () => this.#join());
    addEventListener("online", () => this.#connection.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.#connection.retryNow();
      this.#player.wake();
    });
    const { visualViewport: viewport } = window;
    const fit = () => {
      const app = byId("app");
      app.style.setProperty("--app-height", `${Math.round(viewport.height)}px`);
      app.classList.toggle("low", viewport.height < LOW_WINDOW_PX);
      scrollTo(0, 0);
    };
    viewport?.addEventListener("resize", fit);
    if (viewport) fit();
  }

  #showDebug() {
    this.#debug = new DebugView();
    setInterval(() => this.#debug.render(this.#conversation, this.#player), OVERLAY_MS);
  }

  /** Once per turn of the event loop, however much has changed. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      this.#render();
    });
  }

  #render() {
    const { language } = this.#conversation.state;
    const strings = STRINGS[language];
    if (this.#language !== language) {
      this.#language = language;
      document.documentElement.lang = language;
      translate(document, strings);
    }
    for (const view of Object.values(this.#views)) {
      view.render(this.#conversation, strings, this.#avatars);
    }
  }
}

/** Beside the page, wherever that is hosted. */
function socketUrl() {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url.href;
}

new Page().start();
