/** Puts the page together: the core on one side, the views on the other. */
import { paced } from "./core/paced.js";
import "./embed/element.js";
import { ComposerView } from "./ui/composer.js";
import { DebugView } from "./ui/debug.js";
import { byId } from "./ui/dom.js";
import { watchFilms } from "./ui/films.js";
import { takeJoinToken } from "./ui/invitation.js";
import { LanguagesView } from "./ui/languages.js";
import { LogView } from "./ui/log.js";
import { keptFace, MyFaceView } from "./ui/my_face.js";
import { NoticesView } from "./ui/notices.js";
import { PresentersView } from "./ui/presenters.js";
import { SavingView } from "./ui/saving.js";
import { StageView } from "./ui/stage.js";
import { ownConversation, tabStorage } from "./ui/storage.js";
import { preferredLanguage, STRINGS, translate } from "./ui/strings.js";
import { VoiceView } from "./ui/voice.js";
import { VoicesView } from "./ui/voices.js";

const LANGUAGE_KEY = "ditto-avatar.language";
const LOW_WINDOW_PX = 430;
const OVERLAY_MS = 250;

class Page {
  #stage = byId("stage");
  #client;
  #views;
  #debug = null;
  #avatars = [];
  #language = null;
  #draw = paced(() => this.#render());
  #storage = tabStorage();

  constructor() {
    this.#client = this.#openClient();
    this.#views = this.#createViews();
  }

  /** The element's, which begins when the page lets it. */
  #openClient() {
    this.#stage.setAttribute("language", this.#rememberedLanguage());
    this.#stage.storage = this.#storage;
    return this.#stage.client;
  }

  start() {
    this.#listen();
    this.#watchWindow();
    if (new URLSearchParams(location.search).has("debug")) this.#showDebug();
    this.#draw();
    const token = takeJoinToken();
    if (token) this.#stage.setAttribute("token", token);
    ownConversation(this.#storage).then(() => this.#stage.begin());
    this.#loadAvatars();
    watchFilms({
      client: this.#client,
      strings: () => STRINGS[this.#client.conversation.state.language],
      onMade: (name) => this.#showMade(name),
    });
    // On a phone this would open the keyboard over the face.
    if (matchMedia("(pointer: fine)").matches) this.#views.composer.focus();
  }

  #createViews() {
    const client = this.#client;
    const { conversation } = client;
    return {
      stage: new StageView(),
      log: new LogView({
        onAsk: (text) => client.ask(text),
        onReplay: ({ clips }) => client.replay(clips),
      }),
      notices: new NoticesView({ onDismiss: (code) => conversation.dismiss(code) }),
      composer: new ComposerView({
        onSend: (text) => client.ask(text),
        onInterrupt: () => client.interrupt(),
      }),
      presenters: new PresentersView({ onChoose: ({ name }) => client.setAvatar(name) }),
      myFace: new MyFaceView({
        session: () => client.session,
        onMade: (avatar) => this.#showFace(avatar),
        onRemoved: (name) => this.#forgetFace(name),
        onChanged: () => this.#draw(),
      }),
      saving: new SavingView({ session: () => client.session }),
      languages: new LanguagesView({ onChoose: (language) => this.#chooseLanguage(language) }),
      voice: new VoiceView(client.voice),
      voices: new VoicesView({
        server: document.baseURI,
        session: () => client.session,
        onChoose: (voices) => client.setVoices(voices),
      }),
    };
  }

  #listen() {
    this.#client.conversation.on("changed", () => this.#draw());
    this.#client.on("report", (report) => this.#debug?.note(report));
  }

  /** Shows a face that was just made, and lets it say a sentence. */
  #showFace(avatar) {
    this.#avatars = [...this.#avatars, avatar];
    this.#client.setAvatar(avatar.name);
    this.#client.say(STRINGS[this.#client.conversation.state.language].myFaceSentence);
    this.#draw();
  }

  /** Shows a presenter that the server has made of a film; one who talks already goes on. */
  async #showMade(name) {
    const { conversation } = this.#client;
    await this.#loadAvatars();
    const { messages, language, avatars } = conversation.state;
    const may = avatars?.includes(name) ?? true;
    if (!may) return;
    if (messages.length) conversation.notify("film_made", STRINGS[language].filmMade(name));
    else this.#client.setAvatar(name);
  }

  #forgetFace(name) {
    this.#avatars = this.#avatars.filter((avatar) => avatar.name !== name);
    if (this.#client.conversation.state.avatar?.name === name && this.#avatars.length) {
      this.#client.setAvatar(this.#avatars[0].name);
    }
    this.#draw();
  }

  #chooseLanguage(language) {
    try {
      localStorage.setItem(LANGUAGE_KEY, language);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    this.#client.setLanguage(language);
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
      const own = keptFace();
      this.#avatars = [...(await this.#client.avatars()), ...(own ? [own.avatar] : [])];
    } catch (error) {
      console.warn(`The presenters could not be loaded: ${error.message}`);
      this.#client.conversation.notify("avatars_failed");
    }
    this.#draw();
  }

  #watchWindow() {
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.#client.interrupt();
    });
    // A link that is opened where the page is already open changes nothing but the fragment.
    addEventListener("hashchange", () => {
      const token = takeJoinToken();
      if (token) this.#client.join(token);
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
    setInterval(() => this.#debug.render(this.#client.conversation, this.#client.player), OVERLAY_MS);
  }

  #render() {
    const { conversation } = this.#client;
    const { language } = conversation.state;
    const strings = STRINGS[language];
    if (this.#language !== language) {
      this.#language = language;
      document.documentElement.lang = language;
      translate(document, strings);
    }
    for (const view of Object.values(this.#views)) {
      view.render(conversation, strings, this.#avatars);
    }
  }
}

new Page().start();
