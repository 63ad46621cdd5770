/**
 * `<ditto-avatar>`: a presenter on any page. docs/embedding.md describes its attributes, methods,
 * events and slots.
 */
import { AvatarClient } from "../core/client.js";
import { HANDS_FREE, PUSH_TO_TALK } from "../core/voice.js";
import { paced } from "../core/paced.js";
import { Background, isCutout } from "./background.js";
import { MARKUP, styleSheet } from "./markup.js";
import { storageFor } from "./storage.js";
import { ElementView } from "./view.js";

const HERE = new URL("../../", import.meta.url).href;
const EVENTS = ["ready", "speaking", "caption", "interrupted", "ended", "error"];
const ACTIVITY = ["click", "keydown", "touchend"];

export class DittoAvatarElement extends HTMLElement {
  static observedAttributes = ["server", "token", "avatar", "language", "muted", "start", "background"];

  #root = this.attachShadow({ mode: "open" });
  #view = new ElementView(this.#root);
  #background = new Background(this, this.#root);
  #storage = null;
  #client = null;
  #started = false;
  #stop = new AbortController();
  #draw = paced(() => this.#render());
  #unlock = () => this.#client?.player.unlock();

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [styleSheet()];
    this.#root.innerHTML = MARKUP;
    this.#listenToControls();
  }

  /** The address of the server; where this script came from, unless `server` says otherwise. */
  get server() {
    const named = this.getAttribute("server");
    return named ? new URL(named.replace(/\/*$/, "/"), document.baseURI).href : HERE;
  }

  /** The conversation behind the element, for a page that shows more of it: `AvatarClient` of
   * `@ditto-avatar/client/player`. Null while the element is not in the page. */
  get client() {
    return this.#client;
  }

  /** Where the session is kept, in place of the tab's storage; set it before the conversation has
   * begun. `client` is another one then. */
  set storage(storage) {
    this.#storage = storage;
    if (this.#client && !this.#started) this.#reopen();
  }

  get language() {
    const wanted = this.getAttribute("language") || document.documentElement.lang || navigator.language;
    return wanted.toLowerCase().startsWith("ko") ? "ko" : "en";
  }

  connectedCallback() {
    // An element that is moved leaves and comes at once: it goes on.
    if (!this.#client) this.#open();
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.#close());
  }

  attributeChangedCallback(name, before, value) {
    if (name === "background") this.#background.paint(value);
    // The attributes that the element comes with are told before it is connected.
    if (!this.#client || before === value) return;
    if (name === "avatar") this.#client.avatar = value;
    if (name === "background" && isCutout(before) === isCutout(value)) return;
    if (["server", "start", "background"].includes(name)) this.#reopen();
    else if (name === "token" && value) this.#client.join(value);
    else if (name === "avatar" && value) this.#client.setAvatar(value);
    else if (name === "language") this.#client.setLanguage(this.language);
    else if (name === "muted") this.#client.player.setMuted(value !== null);
  }

  /** Ask the presenter something, as if it had been typed. */
  ask(text) {
    this.#talk().ask(text);
  }

  /** Let the presenter say `text` as it is. */
  say(text) {
    this.#talk().say(text);
  }

  /** Stop the answer in progress. */
  interrupt() {
    this.#client?.interrupt();
  }

  setAvatar(name) {
    this.setAttribute("avatar", name);
  }

  setLanguage(language) {
    this.setAttribute("language", language);
  }

  /** Listen: to one question, or to all until `stopMicrophone`. Call within a click or key. */
  startMicrophone({ handsFree = false } = {}) {
    const { voice } = this.#talk();
    if (handsFree) voice.set(HANDS_FREE);
    else voice.takeTheWord();
  }

  stopMicrophone() {
    this.#client?.voice.set(null);
  }

  /** Begin the conversation that waits for a click, or for the page. */
  begin() {
    if (!this.isConnected) throw new Error("The element is not in the page.");
    if (!this.#started) this.#begin();
  }

  /** The client; a conversation that waits begins now. */
  #talk() {
    this.begin();
    return this.#client;
  }

  #open() {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    for (const video of this.#root.querySelectorAll("video")) video.crossOrigin = "anonymous";
    const client = new AvatarClient({
      videos: [...this.#root.querySelectorAll("video")],
      server: this.server,
      storage: this.#storage ?? storageFor(this),
      language: this.language,
      avatar: this.getAttribute("avatar"),
      cutout: this.#background.wantsCutout,
    });
    this.#client = client;
    client.conversation.on("changed", () => this.#draw());
    for (const type of EVENTS) client.on(type, (detail) => this.#tell(type, detail));
    const muted = this.hasAttribute("muted") || this.getAttribute("start") === "muted";
    if (muted) client.player.setMuted(true);
    for (const type of ACTIVITY) addEventListener(type, this.#unlock, { capture: true, signal });
    addEventListener("online", () => client.wake(), { signal });
    const seen = () => document.hidden || client.wake();
    document.addEventListener("visibilitychange", seen, { signal });
    this.#draw();
    if (this.#waitsFor === "begun") this.#begin();
    else this.#showChoice();
  }

  /** Who begins, as `ElementView.render` takes it. */
  get #waitsFor() {
    return { click: "button", script: "script" }[this.getAttribute("start")] ?? "begun";
  }

  #begin() {
    this.#started = true;
    this.#client.start(this.getAttribute("token"));
    this.#draw();
  }

  /** Before the conversation: the picture of the presenter that it would be with. */
  async #showChoice() {
    const client = this.#client;
    try {
      const avatars = await client.avatars();
      const name = this.getAttribute("avatar");
      const avatar = avatars.find((one) => one.name === name) ?? avatars[0];
      const chosen = client.conversation.state.avatar;
      if (avatar && client === this.#client && !chosen) this.#view.showPoster(avatar);
    } catch (error) {
      this.#tell("error", { code: "avatars_failed", message: error.message });
    }
  }

  #close() {
    this.#stop.abort();
    this.#client?.close();
    this.#client = null;
    this.#background.show(false);
    this.#started = false;
    this.#view.clear();
  }

  #reopen() {
    this.#close();
    this.#open();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, composed: true }));
  }

  #part(selector) {
    return this.#view.part(selector);
  }

  #listenToControls() {
    const on = (selector, type, act) => this.#part(selector).addEventListener(type, act);
    on(".mute", "click", () => this.#client?.player.setMuted(!this.#silent));
    on(".unmute", "click", () => this.#client?.player.setMuted(false));
    on(".start", "click", () => this.#begin());
    // These go when they were pressed: the keyboard stays in the element.
    for (const name of [".start", ".unmute"]) on(name, "click", () => this.#part(".panel").focus());
    on(".interrupt", "click", () => this.interrupt());
    on(".microphone", "click", () => (this.#client?.voice.mode ? this.stopMicrophone() : this.startMicrophone()));
    on(".toggle", "click", () => this.#expand(this.#part(".toggle").ariaExpanded !== "true"));
    on("form", "submit", (event) => this.#submit(event));
    for (const image of this.#root.querySelectorAll("img")) image.crossOrigin = "anonymous";
    this.#root.addEventListener("keydown", ({ key }) => key === "Escape" && this.#escape());
  }

  #submit(event) {
    event.preventDefault();
    const field = this.#part("input");
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    this.ask(text);
  }

  #escape() {
    if (this.#client?.conversation.busy) return this.interrupt();
    if (this.getAttribute("display") === "floating") this.#expand(false);
  }

  #expand(expanded) {
    const toggle = this.#part(".toggle");
    toggle.ariaExpanded = String(expanded);
    if (expanded && matchMedia("(pointer: fine)").matches) this.#part("input").focus();
    if (!expanded) toggle.focus();
    this.#draw();
  }

  get #silent() {
    const { blocked, muted } = this.#client?.player.sound ?? { muted: true };
    return blocked || muted;
  }

  #render() {
    if (!this.#client) return;
    this.#view.render(this.#client, this.#started ? "begun" : this.#waitsFor);
    this.#background.show(Boolean(this.#client.conversation.state.avatar?.alpha));
  }
}

if (!customElements.get("ditto-avatar")) customElements.define("ditto-avatar", DittoAvatarElement);
