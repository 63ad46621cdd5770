import { byId, element, icon, setLabel, setText } from "./dom.js";

const CHOICE_KEY = "ditto-avatar.voices";
const LATER_KEY = "ditto-avatar.voice-later";
const POLL_MS = 1000;
const UNDER_WAY = new Set(["loading", "trying"]);

/** The voices: which of them speaks, and getting a better one where espeak does. */
export class VoicesView {
  #server;
  #session;
  #onChoose;
  #choice = byId("voice-choice");
  #offers = byId("voice-offers");
  #bar = byId("voice-bar");
  #voices = [];
  #answer = null;
  #chosen = read(CHOICE_KEY, {});
  #later = read(LATER_KEY, []);
  #language = "en";
  #strings = null;
  #told = null;
  #shown = "";
  #timer = null;

  constructor({ server, session, onChoose }) {
    this.#server = server;
    this.#session = session;
    this.#onChoose = onChoose;
    this.#choice.addEventListener("change", () => this.#choose(this.#choice.value));
    this.load();
  }

  /** Asks the server what there is; again while a voice is on its way. */
  async load() {
    clearTimeout(this.#timer);
    try {
      [this.#answer, this.#voices] = await Promise.all([this.#get("offers"), this.#get("")]);
    } catch {
      // The page works without; it asks again when it is opened the next time.
      return;
    }
    if (this.#answer.offers.some(({ state }) => UNDER_WAY.has(state))) {
      this.#timer = setTimeout(() => this.load(), POLL_MS);
    }
    this.#fill();
  }

  render({ state }, strings) {
    this.#language = state.language;
    this.#strings = strings;
    // Once for each session: the server keeps no choice.
    const session = this.#session()?.session ?? null;
    if (state.line === "open" && state.avatar && session !== this.#told) {
      this.#told = session;
      if (Object.keys(this.#chosen).length) this.#onChoose(Object.values(this.#chosen));
    }
    this.#fill();
  }

  #fill() {
    if (!this.#answer || !this.#strings) return;
    const shown = JSON.stringify([this.#answer, this.#voices, this.#language, this.#chosen, this.#later]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#fillChoice();
    const offers = this.#answer.offers
      .filter((offer) => offer.languages.includes(this.#language))
      .map((offer) => ({ ...offer, label: offer.label[this.#language], forbids: offer.forbids[this.#language] }));
    this.#offers.replaceChildren(...offers.filter(({ state }) => state !== "installed").map((offer) => this.#row(offer)));
    this.#fillBar(offers);
  }

  #fillChoice() {
    const own = this.#voices.filter(({ language }) => language === this.#language);
    const options = own.map(({ id, label }) => element("option", { value: id }, label));
    this.#choice.replaceChildren(element("option", { value: "" }, this.#strings.voiceAutomatic), ...options);
    this.#choice.value = own.some(({ id }) => id === this.#chosen[this.#language]) ? this.#chosen[this.#language] : "";
  }

  /** One sentence above the text field, while espeak speaks and a better voice can be had. */
  #fillBar(offers) {
    const { may_download: may, speaking } = this.#answer;
    const offer = offers.find(({ state }) => UNDER_WAY.has(state)) ?? offers[0];
    const wanted = may && offer && (UNDER_WAY.has(offer.state) ||
      (speaking[this.#language] === "espeak" && ["absent", "failed"].includes(offer.state)));
    this.#bar.hidden = !wanted || this.#later.includes(offer.name);
    if (this.#bar.hidden) return;
    const strings = this.#strings;
    const close = element("button", { type: "button", className: "round quiet", onclick: () => this.#postpone(offer) }, icon("close"));
    setLabel(close, strings.voiceLater);
    const text = element("span", {}, sentence(offer, strings));
    this.#bar.replaceChildren(text, ...this.#action(offer), close);
  }

  #row(offer) {
    const strings = this.#strings;
    const terms = element("a", { href: offer.license_url, target: "_blank", rel: "noopener" }, offer.license);
    const lines = [
      element("strong", {}, offer.label),
      element("span", { className: "terms" }, `${strings.voiceSize(offer.megabytes)} · `, terms),
    ];
    if (offer.forbids) lines.push(element("span", { className: "terms" }, strings.voiceForbids(offer.forbids)));
    if (offer.state !== "absent") lines.push(element("span", { className: "terms" }, sentence(offer, strings)));
    if (!this.#answer.may_download) lines.push(element("code", {}, `ditto-avatar voices download ${offer.name}`));
    const accept = this.#accept(offer);
    if (accept) lines.push(accept);
    return element("li", {}, element("div", {}, ...lines), ...this.#action(offer, accept));
  }

  #accept(offer) {
    if (!offer.asks_license || !this.#answer.may_download || UNDER_WAY.has(offer.state)) return null;
    return element("label", { className: "terms" }, element("input", { type: "checkbox" }), this.#strings.voiceAccept);
  }

  /** What can be done with an offer; with terms to accept, in the dialog only. */
  #action(offer, accept = null) {
    const strings = this.#strings;
    if (!this.#answer.may_download || offer.state === "slow") return [];
    if (UNDER_WAY.has(offer.state)) {
      const bar = element("progress", { max: 1, value: offer.share });
      setLabel(bar, sentence(offer, strings));
      return [bar, button(strings.voiceStop, () => this.#send("DELETE", offer), "pill quiet")];
    }
    if (offer.asks_license && !accept) return [button(strings.voiceTerms, () => byId("presenters").showModal())];
    const get = button(strings.voiceGet, () => this.#send("POST", offer, { accept_license: offer.asks_license }));
    if (accept) {
      get.disabled = true;
      accept.firstChild.addEventListener("change", ({ target }) => (get.disabled = !target.checked));
    }
    return [get];
  }

  async #send(method, offer, body = undefined) {
    const options = { method };
    if (body) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
    await fetch(this.#url(`offers/${offer.name}`), options).catch(() => null);
    this.load();
  }

  #choose(id) {
    if (id) this.#chosen[this.#language] = id;
    else delete this.#chosen[this.#language];
    write(CHOICE_KEY, this.#chosen);
    this.#onChoose(Object.values(this.#chosen));
  }

  #postpone(offer) {
    this.#later = [...this.#later, offer.name];
    write(LATER_KEY, this.#later);
    this.#fill();
  }

  async #get(path) {
    const answer = await fetch(this.#url(path));
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }

  #url(path) {
    return new URL(path ? `api/voices/${path}` : "api/voices", this.#server);
  }
}

function sentence({ state, label, megabytes, license, share, message }, strings) {
  const { voiceStates } = strings;
  if (state === "loading") return voiceStates.loading(label, Math.round(100 * share));
  if (state === "failed") return voiceStates.failed(message);
  return state === "absent" ? voiceStates.absent(label, megabytes, license) : voiceStates[state](label);
}

function button(text, onclick, className = "pill") {
  const made = element("button", { type: "button", className, onclick });
  setText(made, text);
  return made;
}

function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
