import { byId, element, icon, setLabel } from "./dom.js";

/** One calm sentence for everything that went wrong or is worth knowing. */
export class NoticesView {
  #box = byId("notices");
  #shown = "";
  #onDismiss;

  constructor({ onDismiss }) {
    this.#onDismiss = onDismiss;
  }

  render({ state }, strings) {
    const texts = state.notices.map(({ code, message }) => [code, wording(code, message, strings)]);
    const shown = JSON.stringify(texts);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#box.replaceChildren(...texts.map(([code, text]) => this.#notice(code, text, strings)));
  }

  #notice(code, text, strings) {
    const onclick = () => this.#onDismiss(code);
    const button = element("button", { type: "button", className: "round", onclick }, icon("close"));
    setLabel(button, strings.dismiss);
    return element("p", { className: "notice" }, element("span", {}, text), button);
  }
}

/** Our own wording in the page's language where there is one, the server's sentence otherwise. */
export function wording(code, message, strings) {
  return strings.notices[code] ?? (message || strings.notices.internal);
}
