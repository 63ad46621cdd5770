/** Text with code in fences, as elements. */
import { element } from "./dom.js";

const FENCE = /^[ \t]*(`{3,}|~{3,})[^`\n]*$/;

/** [{code, text}]: stretches of plain text and of code, fences taken off. */
export function stretches(text) {
  const found = [];
  let fence = null;
  let lines = [];
  const end = (code) => {
    if (lines.length) found.push({ code, text: lines.join("\n") });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = FENCE.exec(line)?.[1];
    if (fence === null && mark) {
      end(false);
      fence = mark;
    } else if (fence !== null && mark?.startsWith(fence) && line.trim() === mark) {
      end(true);
      fence = null;
    } else {
      lines.push(line);
    }
  }
  end(fence !== null);
  return found;
}

/** Show `text` in `node`; nothing is drawn anew when nothing changed. */
export function setProse(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  if (!text.includes("```") && !text.includes("~~~")) {
    node.textContent = text;
    return;
  }
  node.replaceChildren(
    ...stretches(text).map(({ code, text: part }) =>
      code ? element("pre", { className: "code" }, element("code", {}, part)) : part.trim(),
    ),
  );
}
