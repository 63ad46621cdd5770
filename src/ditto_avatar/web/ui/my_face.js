import { byId, element, setText } from "./dom.js";

const STORAGE_KEY = "ditto-avatar.my-face";
const HINTS_EVERY_MS = 500;
const HINT_WIDTH_PX = 640;
const LONGEST_PHOTO_PX = 2048;

/** The face that this browser made, {avatar, token, shared}, or null. */
export function keptFace() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null");
  } catch {
    return null;
  }
}

/** The dialog in which a visitor's own face becomes a presenter: picture, consent, making, preview.
 * `session` gives {session, token}; `onMade(avatar)` shows it, `onRemoved(name)` puts it away,
 * `onChanged()` draws the page anew. */
export class MyFaceView {
  #dialog = byId("my-face");
  #video = byId("my-face-video");
  #shown = byId("my-face-shown");
  #hints = byId("my-face-hints");
  #form = byId("my-face-form");
  #bar = byId("my-face-bar");
  #removal = byId("my-face-remove");
  #sharing = byId("my-face-share");
  #shared = byId("my-face-shared");
  #session;
  #onMade;
  #onRemoved;
  #onChanged;
  #picture = null;
  #stream = null;
  #timer = null;
  #asking = false;
  #making = null;
  #made = null;
  #strings = {};
  #language = "en";

  constructor({ session, onMade, onRemoved, onChanged }) {
    this.#session = session;
    this.#onMade = onMade;
    this.#onRemoved = onRemoved;
    this.#onChanged = onChanged;
    byId("my-face-open").addEventListener("click", () => this.#open());
    byId("my-face-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#stop());
    byId("my-face-file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.#take(target.files[0]);
      target.value = "";
    });
    byId("my-face-camera").addEventListener("click", () => this.#startCamera());
    byId("my-face-capture").addEventListener("click", () => this.#capture());
    for (const type of ["dragover", "drop"]) {
      this.#dialog.addEventListener(type, (event) => {
        event.preventDefault();
        if (type === "drop" && event.dataTransfer.files[0]) this.#take(event.dataTransfer.files[0]);
      });
    }
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
    byId("my-face-keep").addEventListener("click", () => this.#keep());
    byId("my-face-again").addEventListener("click", async () => {
      await this.#remove(this.#made);
      this.#open();
    });
    byId("my-face-delete").addEventListener("click", () => this.#remove(this.#made));
    this.#removal.addEventListener("click", () => this.#remove(keptFace()));
    this.#sharing.addEventListener("click", () => this.#share(keptFace()));
  }

  render({ state }, strings) {
    this.#strings = strings;
    this.#language = state.language;
    this.#bar.hidden = !this.#made;
    const kept = this.#made ? null : keptFace();
    this.#removal.hidden = this.#sharing.hidden = this.#shared.hidden = !kept;
    this.#sharing.setAttribute("aria-pressed", String(Boolean(kept?.shared)));
    setText(this.#shared, kept?.shared ? strings.myFaceShared(kept.avatar.name) : "");
  }

  #open() {
    byId("presenters").close();
    this.#picture = null;
    this.#show({});
    this.#tell([]);
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #show({ camera = false, picture = null, busy = false }) {
    byId("my-face-view").hidden = !camera && !picture;
    this.#video.hidden = byId("my-face-oval").hidden = byId("my-face-capture").hidden = !camera;
    this.#shown.hidden = !picture;
    this.#form.hidden = !picture || busy;
    byId("my-face-choose").hidden = busy;
    byId("my-face-busy").hidden = !busy;
  }

  /** Uses a photo or film. Photos are made smaller here: it saves the visitor's time, and a browser
   * may read formats that the server does not. */
  async #take(file) {
    this.#stop();
    this.#tell([]);
    this.#picture = file;
    const isFilm = file.type.startsWith("video/");
    const isPhoto = !isFilm && file.type !== "image/gif"; // which may be a short film
    if (isPhoto) {
      try {
        const image = await createImageBitmap(file, { imageOrientation: "from-image" });
        this.#picture = await jpeg(image, image.width, image.height, LONGEST_PHOTO_PX);
        image.close();
      } catch {
        this.#picture = file;
      }
    }
    if (this.#shown.src) URL.revokeObjectURL(this.#shown.src);
    this.#shown.src = isFilm ? "" : URL.createObjectURL(this.#picture);
    this.#show({ picture: this.#picture });
    if (isPhoto) await this.#judge(this.#picture);
  }

  /** Says what is wrong with a photo; one that cannot be used is not asked any consent for. */
  async #judge(picture) {
    const found = (await this.#check(picture)) ?? [];
    if (picture !== this.#picture || this.#making) return;
    this.#tell(found);
    this.#form.hidden = found.some(({ blocks }) => blocks);
  }

  async #startCamera() {
    this.#stop();
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 960 } },
      });
    } catch {
      setText(this.#hints, this.#strings.myFaceNoCamera);
      return;
    }
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    this.#show({ camera: true });
    this.#timer = setInterval(() => this.#hint(), HINTS_EVERY_MS);
  }

  async #hint() {
    if (this.#asking || !this.#video.videoWidth) return;
    this.#asking = true;
    const { videoWidth: width, videoHeight: height } = this.#video;
    const found = await this.#check(await jpeg(this.#video, width, height, HINT_WIDTH_PX));
    this.#asking = false;
    if (!this.#stream || !found) return;
    this.#tell(found, true);
    const good = !found.some(({ blocks }) => blocks);
    byId("my-face-oval").classList.toggle("good", good);
    byId("my-face-capture").disabled = !good;
  }

  async #capture() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    this.#take(await jpeg(this.#video, width, height, LONGEST_PHOTO_PX));
  }

  #stop() {
    clearInterval(this.#timer);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = this.#timer = null;
    this.#making?.abort();
  }

  /** What is wrong with a picture; null where the server does not say. */
  async #check(picture) {
    try {
      const small =
        picture.size < 200_000 ? picture : await createImageBitmap(picture).then((image) =>
          jpeg(image, image.width, image.height, HINT_WIDTH_PX));
      const answer = await this.#ask("api/avatars/check", { method: "POST", body: small });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  #ask(path, options) {
    const { session, token } = this.#session() ?? {};
    const headers = { Authorization: `Bearer ${token}` };
    const url = new URL(`${path}?${new URLSearchParams({ session })}`, document.baseURI);
    return fetch(url, { ...options, headers });
  }

  #tell(findings, live = false) {
    const items = findings.map(({ text, blocks }) =>
      element("p", { className: blocks ? "blocks" : "note" }, text[this.#language] ?? text.en),
    );
    const good = !items.length && (live || this.#picture);
    if (good) items.push(element("p", { className: "good" }, this.#strings.myFaceGood));
    this.#hints.replaceChildren(...items);
  }

  async #make() {
    const body = new FormData(this.#form);
    body.append("file", this.#picture, "face");
    this.#making = new AbortController();
    this.#show({ picture: this.#picture, busy: true });
    this.#tell([]);
    this.#hints.replaceChildren();
    try {
      const { signal } = this.#making;
      const answer = await this.#ask("api/avatars", { method: "POST", body, signal });
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      await this.#follow(answer.body.getReader());
    } catch (error) {
      this.#show({ picture: this.#picture });
      if (error.name !== "AbortError") {
        this.#hints.replaceChildren(element("p", { className: "blocks" }, error.message));
      }
    }
    this.#making = null;
  }

  async #follow(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) this.#step(JSON.parse(line));
      if (done) return;
    }
  }

  #step({ stage, avatar, token, error }) {
    if (error) throw new Error(error.message);
    if (stage) setText(byId("my-face-stage"), this.#strings.myFaceStages[stage]);
    if (!avatar) return;
    this.#made = { avatar, token };
    this.#making = null;
    this.#picture = null;
    this.#dialog.close();
    this.#bar.hidden = false;
    this.#onMade(avatar);
  }

  async #keep() {
    const former = keptFace();
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(this.#made));
    } catch {
      // Without storage it lasts as long as the page.
    }
    this.#made = null;
    this.#onChanged();
    if (former) await this.#remove(former, false);
  }

  /** Lets others use the face, or no longer. */
  async #share(face) {
    const shared = !face.shared;
    const answer = await change(face, "/shared", {
      method: "PUT",
      body: JSON.stringify({ shared }),
    }).catch(() => null);
    if (!answer?.ok) {
      setText(this.#shared, this.#strings.myFaceShareFailed);
      return;
    }
    localStorage.setItem(STORAGE_KEY, JSON.stringify({ ...face, shared }));
    this.#onChanged();
  }

  async #remove(face, chosen = true) {
    if (!face) return;
    if (chosen) {
      if (face === this.#made) this.#made = null;
      else localStorage.removeItem(STORAGE_KEY);
      this.#bar.hidden = true;
      this.#onRemoved(face.avatar.name);
    }
    await change(face, "", { method: "DELETE" });
  }
}

/** Asks for a change of `face` with the token that came with it. */
function change({ avatar, token }, path, options) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const url = new URL(`api/avatars/${avatar.name}${path}`, document.baseURI);
  return fetch(url, { ...options, headers });
}

/** A JPEG of what `source` shows, at most `longest` pixels long. */
async function jpeg(source, width, height, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  const canvas = element("canvas", {
    width: Math.round(width * scale),
    height: Math.round(height * scale),
  });
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
