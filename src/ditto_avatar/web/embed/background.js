/** What is behind the presenter of `<ditto-avatar>`: its own background, or CSS. */

const OWN = "avatar";
// What keying programs expect, not CSS's dark green.
const COLOURS = { green: "#00b140" };

/** Whether a presenter before this background comes without its own. */
export function isCutout(background) {
  return Boolean(background) && background !== OWN;
}

export class Background {
  #element;
  #root;
  #stage = null;

  constructor(element, root) {
    this.#element = element;
    this.#root = root;
  }

  /** Whether the presenter is wanted without its background, and can be shown so. */
  get wantsCutout() {
    return isCutout(this.#element.getAttribute("background")) && Boolean(globalThis.WebGLRenderingContext);
  }

  paint(background) {
    const { style } = this.#element;
    if (isCutout(background)) style.setProperty("--background", COLOURS[background] ?? background);
    else style.removeProperty("--background");
  }

  /** Draws packed films, by a module that is loaded for them alone; or stops drawing. */
  async show(packed) {
    this.#root.querySelector(".stage").classList.toggle("cutout", packed);
    if (packed === (this.#stage !== null)) return;
    this.#stage?.close?.();
    const waiting = packed ? {} : null;
    this.#stage = waiting;
    if (!packed) return;
    const { CutoutStage } = await import("../core/cutout.js");
    if (waiting !== this.#stage) return;
    // A canvas whose context was given back gets no other.
    const canvas = this.#root.querySelector("canvas").cloneNode();
    this.#root.querySelector("canvas").replaceWith(canvas);
    this.#stage = new CutoutStage(canvas, [...this.#root.querySelectorAll("video")]);
  }
}
