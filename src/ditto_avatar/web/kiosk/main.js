/** The page of a kiosk: somebody comes, is greeted, asks and leaves, and nothing of them stays. */
import { AvatarClient } from "../core/client.js";
import { paced } from "../core/paced.js";
import { byId } from "../ui/dom.js";
import { takeJoinToken } from "../ui/invitation.js";
import { tabStorage } from "../ui/storage.js";
import { preferredLanguage, STRINGS } from "../ui/strings.js";
import { ExitDialog } from "./exit.js";
import { Camera } from "./presence.js";
import { fill, forgetPage, keepAwake, keepPage, Watchman } from "./screen.js";
import { TEXTS } from "./texts.js";
import { CONTROLS, EXIT_KEY, KioskView } from "./view.js";
import { Visit } from "./visit.js";

const HERE = new URL(document.baseURI);
const JOIN_KEY = "ditto-avatar.kiosk.join";
const RETRY_MS = 5_000;
// Invitations are turns as well: a session does not grow for days.
const MOST_INVITATIONS = 20;
const NAMES = Object.fromEntries(Object.entries(CONTROLS).map(([name, key]) => [key, name]));

class Kiosk {
  #wanted = new URLSearchParams(location.search);
  #storage = tabStorage();
  #client = null;
  #texts = { locked: true, texts: {} };
  #look = this.#firstLook();
  #invitations = 0;
  #draw = paced(() => this.#render());
  #camera = null;
  #token = takeJoinToken() ?? this.#storage.getItem(JOIN_KEY);
  #visit = new Visit({ busy: () => this.#client.conversation.busy });
  #exit = new ExitDialog({ onLeave: () => this.#leave() });
  #view = new KioskView({
    onAsk: (text) => this.#client.ask(text),
    onPress: (name) => this.#press(name),
  });

  start() {
    if (this.#token) this.#storage.setItem(JOIN_KEY, this.#token);
    this.#open();
    this.#listen();
    this.#load().then(() => keepPage(new URL("kiosk-offline.js", HERE)));
    keepAwake();
    if (this.#wanted.has("camera")) {
      this.#camera = new Camera((sees) => this.#visit.camera(sees));
      this.#camera.start();
    }
    this.#visit.start();
    new Watchman({
      broken: () => this.#broken,
      idle: () => !this.#visit.here,
      health: new URL("healthz", HERE),
    });
  }

  get #language() {
    const wanted = this.#wanted.get("lang");
    return wanted in STRINGS ? wanted : preferredLanguage(navigator.languages);
  }

  get #own() {
    return this.#texts.texts[this.#client.conversation.state.language];
  }

  /** What no reconnect mends. */
  get #broken() {
    const { state } = this.#client.conversation;
    const still = [...document.querySelectorAll("#layers video")].every((video) => video.paused);
    return state.line === "closed" || (state.line === "open" && still && !document.hidden);
  }

  #firstLook() {
    return { low: this.#wanted.has("low"), contrast: matchMedia("(prefers-contrast: more)").matches };
  }

  #open() {
    const client = new AvatarClient({
      videos: [...byId("layers").querySelectorAll("video")],
      server: HERE.href,
      storage: this.#storage,
      language: this.#language,
      avatar: this.#wanted.get("avatar"),
    });
    client.conversation.on("changed", () => client === this.#client && this.#draw());
    this.#client = client;
    client.start(this.#token);
    this.#draw();
  }

  #listen() {
    this.#visit.on("came", () => this.#greet());
    this.#visit.on("left", () => this.#clear());
    this.#visit.on("invite", () => this.#invite());
    addEventListener("pointerdown", () => this.#touched(), { capture: true });
    addEventListener("keydown", (event) => this.#key(event), { capture: true });
    addEventListener("online", () => this.#client.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#client.wake());
    addEventListener("contextmenu", (event) => event.preventDefault());
  }

  async #load() {
    try {
      const answer = await fetch(new URL("api/kiosk", HERE));
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.#texts = await answer.json();
      this.#draw();
    } catch (error) {
      console.warn(`The kiosk's texts could not be loaded: ${error.message}`);
      setTimeout(() => this.#load(), RETRY_MS);
    }
  }

  #touched() {
    fill();
    this.#client.player.unlock();
    this.#visit.touched();
  }

  #key(event) {
    const { key } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || key === "Tab" || key === "Shift") return;
    const away = !this.#visit.here;
    this.#touched();
    if (this.#exit.open) {
      // Enter presses the button that has the focus, or else the code is complete.
      if (key === "Enter" && event.target.closest("button")) return;
      event.preventDefault();
      return this.#exit.press(key);
    }
    // A button that has the focus is pressed by these, as everywhere.
    if (key === "Enter" || key === " ") return;
    event.preventDefault();
    // The first key wakes the kiosk; nobody has read yet what the others do.
    if (key === EXIT_KEY) this.#press("leave");
    else if (!away) this.#pressKey(key);
  }

  #pressKey(key) {
    const question = this.#own?.questions[Number(key) - 1];
    if (question) this.#client.ask(question);
    else if (NAMES[key]) this.#press(NAMES[key]);
    else if (key === "Escape") this.#press("stop");
  }

  #press(name) {
    const client = this.#client;
    const { state } = client.conversation;
    const actions = {
      microphone: () => (client.voice.mode ? client.voice.set(null) : client.voice.takeTheWord()),
      low: () => (this.#look.low = !this.#look.low),
      contrast: () => (this.#look.contrast = !this.#look.contrast),
      language: () => client.setLanguage(state.language === "ko" ? "en" : "ko"),
      again: () => client.replay(state.messages.findLast(({ clips }) => clips.length)?.clips ?? []),
      stop: () => client.interrupt(),
      leave: () => (this.#texts.locked ? this.#exit.show(TEXTS[state.language]) : this.#leave()),
    };
    const usable = name !== "microphone" || client.voice.available;
    if (usable) actions[name]();
    this.#draw();
  }

  #greet() {
    this.#draw();
    const { conversation } = this.#client;
    if (this.#own && conversation.state.line === "open") this.#client.say(this.#own.greeting);
  }

  #invite() {
    const own = this.#own;
    if (!own?.invitations.length || this.#client.conversation.state.line !== "open") return;
    if (this.#invitations > 0 && this.#invitations % MOST_INVITATIONS === 0) this.#renew();
    this.#client.say(own.invitations[this.#invitations % own.invitations.length]);
    this.#invitations += 1;
  }

  /** Nothing of the person who was there stays, here or at the server. */
  #clear() {
    this.#exit.close();
    this.#look = this.#firstLook();
    this.#renew();
  }

  #renew() {
    const { session } = this.#client;
    this.#client.close();
    this.#storage.removeItem("ditto-avatar.session");
    if (session) erase(session);
    this.#open();
  }

  async #leave() {
    this.#visit.close();
    this.#camera?.close();
    const { session } = this.#client;
    this.#client.close();
    this.#storage.removeItem("ditto-avatar.session");
    this.#storage.removeItem(JOIN_KEY);
    if (session) erase(session);
    if (document.fullscreenElement) document.exitFullscreen();
    await forgetPage();
    location.replace(new URL(".", HERE.origin + HERE.pathname));
  }

  #render() {
    this.#view.render(this.#client.conversation, {
      look: this.#look,
      questions: this.#own?.questions ?? [],
      voice: this.#client.voice,
      here: this.#visit.here,
    });
  }
}

/** What was said goes at the server as well; without a line, by its own retention time. */
function erase({ session, token }) {
  const headers = { authorization: `Bearer ${token}` };
  const url = new URL(`api/sessions/${session}`, HERE);
  fetch(url, { method: "DELETE", headers, keepalive: true }).catch((error) => {
    console.warn(`A conversation was not erased: ${error.message}`);
  });
}

new Kiosk().start();
// So that `guard.js` leaves the page alone.
document.body.classList.add("running");
