/**
 * `<ditto-avatar>`: a presenter on any page. docs/embedding.md describes its attributes, methods,
 * events and slots.
 */
import { AvatarClient } from "../core/client.js";
import { HANDS_FREE, PUSH_TO_TALK } from "../core/voice.js";
import { MARKUP, styleSheet } from "./markup.js";
import { TEXTS } from "./texts.js";

const HERE = new URL("../../", import.meta.url).href;
const EVENTS = ["ready", "speaking", "caption", "interrupted", "ended", "error"];
// The presenter's own background. Anything else is CSS and lies behind the presenter alone.
const OWN = "avatar";
// What keying programs expect, not CSS's dark green.
const COLOURS = { green: "#00b140" };
const ACTIVITY = ["click", "keydown", "touchend"];

export class DittoAvatarElement extends HTMLElement {
  static observedAttributes = ["server", "token", "avatar", "language", "muted", "start", "background"];

  #root = this.attachShadow({ mode: "open" });
  #client = null;
  #started = false;
  #stop = new AbortController();
  #items = new Map();
  #cutout = null;
  #drawing = false;
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
    if (name === "background") this.#paintBackground(value);
    // The attributes that the element comes with are told before it is connected.
    if (!this.#client || before === value) return;
    if (name === "avatar") this.#client.avatar = value;
    const cut = (background) => Boolean(background) && background !== OWN;
    if (name === "background" && cut(before) === cut(value)) return;
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

  get #wantsCutout() {
    const background = this.getAttribute("background");
    return Boolean(background) && background !== OWN && Boolean(globalThis.WebGLRenderingContext);
  }

  #paintBackground(value) {
    if (!value || value === OWN) this.style.removeProperty("--background");
    else this.style.setProperty("--background", COLOURS[value] ?? value);
  }

  /** Draws packed films by a module that is loaded for them alone. */
  async #showCutout(packed) {
    this.#part(".stage").classList.toggle("cutout", packed);
    if (packed === (this.#cutout !== null)) return;
    this.#cutout?.close?.();
    this.#cutout = packed ? {} : null;
    if (!packed) return;
    const client = this.#client;
    const { CutoutStage } = await import("../core/cutout.js");
    if (client !== this.#client || this.#cutout === null) return;
    // A canvas whose context was given back gets no other.
    const canvas = this.#part("canvas").cloneNode();
    this.#part("canvas").replaceWith(canvas);
    this.#cutout = new CutoutStage(canvas, [...this.#root.querySelectorAll("video")]);
  }

  /** The client; a conversation that waits for a click begins now. */
  #talk() {
    if (!this.isConnected) throw new Error("The element is not in the page.");
    if (this.getAttribute("start") === "click" && !this.#started) this.#begin();
    return this.#client;
  }

  #open() {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    for (const video of this.#root.querySelectorAll("video")) video.crossOrigin = "anonymous";
    const client = new AvatarClient({
      videos: [...this.#root.querySelectorAll("video")],
      server: this.server,
      storage: storageFor(this),
      language: this.language,
      avatar: this.getAttribute("avatar"),
      cutout: this.#wantsCutout,
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
    if (this.getAttribute("start") === "click") this.#showChoice();
    else this.#begin();
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
      if (client === this.#client && !this.#started) this.#showPoster(avatar);
    } catch (error) {
      this.#tell("error", { code: "avatars_failed", message: error.message });
    }
  }

  #close() {
    this.#stop.abort();
    this.#client?.close();
    this.#client = null;
    this.#showCutout(false);
    this.#started = false;
    this.#items.clear();
    this.#part("ol").replaceChildren();
  }

  #reopen() {
    this.#close();
    this.#open();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, composed: true }));
  }

  #part(selector) {
    return this.#root.querySelector(selector);
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

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      if (this.#client) this.#render(this.#client);
    });
  }

  #render({ conversation, voice }) {
    const { state, phase, busy } = conversation;
    const texts = TEXTS[state.language];
    this.#root.querySelector(".panel").lang = state.language;
    this.#name(texts);
    const started = this.#started;
    this.#part(".row .pill").hidden = !started;
    this.#write(".row .pill", started ? texts.phases[phase] : "");
    this.#write(".caption", state.transcript || state.caption);
    this.#part(".start").hidden = started;
    this.#placeLabel(state.aiLabel);
    this.#part(".mute").hidden = !started;
    this.#part(".unmute").hidden = !state.sound.blocked;
    this.#part(".mute").ariaPressed = String(this.#silent);
    this.#part(".interrupt").hidden = !busy;
    this.#part(".microphone").hidden = !voice.available;
    this.#part(".microphone").ariaPressed = String(voice.mode !== null);
    this.#part("form").hidden = state.invitation !== null || !started;
    const notice = state.notices.at(-1);
    this.#write(".notice", notice ? notice.message || texts.failed : "");
    if (state.avatar) this.#showPoster(state.avatar);
    this.#showCutout(Boolean(state.avatar?.alpha));
    this.#renderLog(state.messages);
  }

  #placeLabel(where) {
    const label = this.#part(".label");
    const place = this.#part(where === "bottom" ? ".over" : ".row");
    if (label.parentNode !== place) place.insertBefore(label, where === "bottom" ? null : this.#part(".mute"));
    label.hidden = where === "off";
  }

  #name(texts) {
    const label = (selector, text) => (this.#part(selector).ariaLabel = text);
    for (const name of ["send", "interrupt", "microphone", "mute"]) label(`.${name}`, texts[name]);
    for (const name of ["start", "unmute"]) this.#write(`.${name}`, texts[name]);
    label(".stage", texts.stage);
    label(".log", texts.log);
    label("input", texts.field);
    this.#part("input").placeholder = texts.placeholder;
    const expanded = this.#part(".toggle").ariaExpanded === "true";
    label(".toggle", expanded ? texts.close : texts.open);
    this.#write(".label", texts.label);
    this.#part(".label").title = texts.labelTitle;
  }

  #renderLog(messages) {
    const log = this.#part(".log");
    const keys = new Set(messages.map(({ key }) => key));
    for (const [key, item] of this.#items) {
      if (keys.has(key)) continue;
      item.remove();
      this.#items.delete(key);
    }
    for (const { key, role, text } of messages) {
      let item = this.#items.get(key);
      if (!item) {
        item = document.createElement("li");
        item.className = role;
        this.#items.set(key, item);
        this.#part("ol").append(item);
      }
      if (item.textContent === text) continue;
      item.textContent = text;
      log.scrollTop = log.scrollHeight;
    }
  }

  #showPoster(avatar) {
    if (!avatar) return;
    for (const image of this.#root.querySelectorAll("img")) {
      if (image.getAttribute("src") !== avatar.poster_url) image.src = avatar.poster_url;
    }
    this.#part(".stage").style.setProperty("--ratio", `${avatar.width} / ${avatar.height}`);
  }

  #write(selector, text) {
    const node = this.#part(selector);
    if (node.textContent !== text) node.textContent = text;
  }
}

/** An element with an `id` goes on with its conversation when the page is loaded anew; any other
 * begins a new one. */
function storageFor({ id, server }) {
  const kept = new Map();
  const memory = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
  if (!id) return memory;
  try {
    const { sessionStorage: tab } = window;
    const named = (key) => `${key} ${server} ${id}`;
    tab.getItem(named(""));
    return {
      getItem: (key) => tab.getItem(named(key)),
      setItem: (key, value) => tab.setItem(named(key), value),
      removeItem: (key) => tab.removeItem(named(key)),
    };
  } catch {
    // The browser keeps nothing for this page.
    return memory;
  }
}

if (!customElements.get("ditto-avatar")) customElements.define("ditto-avatar", DittoAvatarElement);
