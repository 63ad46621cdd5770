import { byId } from "./dom.js";

/** The switch between the languages of the page. */
export class LanguagesView {
  #buttons = [...byId("languages").querySelectorAll("button")];

  constructor({ onChoose }) {
    for (const button of this.#buttons) {
      button.addEventListener("click", () => onChoose(button.dataset.language));
    }
  }

  render({ state }) {
    for (const button of this.#buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.language === state.language));
    }
  }
}
