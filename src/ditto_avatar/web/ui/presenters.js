import { byId, element, setLabel, setText } from "./dom.js";

/** The button with the present presenter's face and the dialog to choose another. */
export class PresentersView {
  #button = byId("presenter-button");
  #thumb = byId("presenter-thumb");
  #name = byId("presenter-name");
  #dialog = byId("presenters");
  #list = byId("presenter-list");
  #shown = "";
  #onChoose;

  constructor({ onChoose }) {
    this.#onChoose = onChoose;
    this.#button.addEventListener("click", () => this.#dialog.showModal());
    byId("presenters-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  render({ state }, strings, all) {
    const { avatar, language } = state;
    const avatars = all.filter(({ name }) => state.avatars?.includes(name) ?? true);
    this.#button.hidden = !avatar ;
    if (!avatar) return;
    const name = avatar.display_name?.[language] ?? avatar.name;
    setText(this.#name, name);
    setLabel(this.#button, strings.presenterButton(name));
    if (this.#thumb.getAttribute("src") !== avatar.poster_url) this.#thumb.src = avatar.poster_url;
    const shown = JSON.stringify([avatar.name, language, avatars.map((other) => other.name)]);
    if (shown !== this.#shown) this.#fill(avatars, state);
    this.#shown = shown;
  }

  #fill(avatars, { avatar: chosen, language }) {
    const cards = avatars.map((avatar) => {
      const card = element(
        "button",
        { className: "presenter", type: "button", onclick: () => this.#choose(avatar) },
        element("img", { src: avatar.poster_url, alt: "", loading: "lazy" }),
        element("span", { className: "name" }, avatar.display_name?.[language] ?? avatar.name),
        element("span", { className: "description" }, avatar.description?.[language] ?? ""),
      );
      card.setAttribute("aria-pressed", String(avatar.name === chosen.name));
      return element("li", {}, card);
    });
    this.#list.replaceChildren(...cards);
  }

  #choose(avatar) {
    this.#dialog.close();
    this.#onChoose(avatar);
  }
}
