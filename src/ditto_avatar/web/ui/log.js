import { byId, element, icon, setLabel, setText } from "./dom.js";
import { setProse } from "./prose.js";

const NEAR_THE_END_PX = 80;
const INVITATION_TEXTS = { needed: "invitationNeeded", refused: "invitationRefused" };

/** What has been said, with the welcome before anything has. */
export class LogView {
  #log = byId("log");
  #list = byId("messages");
  #welcome = byId("welcome");
  #title = byId("welcome-title");
  #text = byId("welcome-text");
  #suggestions = byId("suggestions");
  #items = new Map();
  #language = null;
  #onAsk;
  #onReplay;

  constructor({ onAsk, onReplay }) {
    this.#onAsk = onAsk;
    this.#onReplay = onReplay;
  }

  render({ state, busy }, strings) {
    const { messages, avatar, language, invitation } = state;
    const name = avatar?.display_name?.[language] ?? "Ditto";
    this.#welcome.hidden = messages.length > 0;
    setText(this.#title, invitation ? strings.invitationTitle : strings.welcomeTitle(name));
    setText(this.#text, strings[INVITATION_TEXTS[invitation] ?? "welcome"]);
    this.#welcome.classList.toggle("invitation", invitation !== null);
    this.#suggestions.hidden = invitation !== null;
    if (this.#language !== language) this.#suggest(strings);
    this.#language = language;
    const follow = this.#atTheEnd();
    this.#forget(messages);
    for (const message of messages) this.#patch(message, { name, strings, busy });
    if (follow) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #suggest({ suggestions }) {
    const ask = (text) => element("button", { type: "button", onclick: () => this.#onAsk(text) }, text);
    this.#suggestions.replaceChildren(...suggestions.map((text) => element("li", {}, ask(text))));
  }

  #forget(messages) {
    const keys = new Set(messages.map(({ key }) => key));
    for (const [key, { node }] of this.#items) {
      if (keys.has(key)) continue;
      node.remove();
      this.#items.delete(key);
    }
  }

  #atTheEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return scrollHeight - scrollTop - clientHeight < NEAR_THE_END_PX;
  }

  #patch(message, { name, strings, busy }) {
    const item = this.#items.get(message.key) ?? this.#add(message);
    item.node.className = `message ${message.role} ${message.state}`;
    setProse(item.words, message.text);
    setText(item.who, whoAndHow(message, name, strings));
    item.about.hidden = message.role === "user" && message.state !== "failed";
    item.replay.hidden = message.clips.length === 0 || message.state === "streaming";
    item.replay.disabled = busy;
    setLabel(item.replay, strings.replay);
  }

  #add(message) {
    const onclick = () => this.#onReplay(message);
    const replay = element("button", { className: "replay", type: "button", onclick }, icon("replay"));
    const who = element("span");
    const about = element("div", { className: "about" }, who, replay);
    const words = element("div", { className: "words" });
    const node = element("li", {}, about, words);
    const item = { node, about, who, words, replay };
    this.#items.set(message.key, item);
    this.#list.append(node);
    this.#log.scrollTop = this.#log.scrollHeight;
    return item;
  }
}

function whoAndHow({ role, state }, name, strings) {
  const who = role === "user" ? strings.you : name;
  const how = { interrupted: strings.interrupted, failed: strings.failed }[state];
  return how ? `${who} · ${how}` : who;
}
