/** The screen of the kiosk: it stays on and is filled, and the page comes back by itself when
 * something in it has broken. */

const MOST_AGE_MS = 24 * 3_600_000;
const LOOK_MS = 20_000;
const BROKEN_MS = 30_000;
const LEAST_BETWEEN_MS = 60_000;
const RELOADED_KEY = "ditto-avatar.kiosk.reloaded";

/** Keeps the screen on for as long as the page is seen. */
export async function keepAwake() {
  const { wakeLock } = navigator;
  if (!wakeLock) return;
  const hold = async () => {
    if (document.hidden) return;
    try {
      await wakeLock.request("screen");
    } catch (error) {
      console.warn(`The screen may go dark: ${error.message}`);
    }
  };
  document.addEventListener("visibilitychange", hold);
  await hold();
}

/** Fills the screen; call within a touch or a key. */
export async function fill() {
  if (document.fullscreenElement || !document.documentElement.requestFullscreen) return;
  try {
    await document.documentElement.requestFullscreen({ navigationUI: "hide" });
    await navigator.keyboard?.lock?.(["Escape"]);
  } catch (error) {
    console.warn(`The screen is not filled: ${error.message}`);
  }
}

/** Keeps the page for a time without a network, by the script at `worker`. Where the browser
 * allows none, as without TLS, a page that is loaded anew then is lost. */
export async function keepPage(worker) {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  try {
    await serviceWorker.register(worker);
    if (!serviceWorker.controller) {
      await new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
    }
    // What came before it was there passes it once more.
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
    const own = [location.href, ...loaded].filter((url) => new URL(url).origin === location.origin);
    await Promise.all(own.filter((url) => !url.endsWith(".mp4")).map((url) => fetch(url)));
    document.body.classList.add("kept");
  } catch (error) {
    console.warn(`The page is not kept for a time without a network: ${error.message}`);
  }
}

/** Forgets the page. */
export async function forgetPage() {
  for (const worker of (await navigator.serviceWorker?.getRegistrations()) ?? []) await worker.unregister();
  for (const name of (await globalThis.caches?.keys()) ?? []) await caches.delete(name);
}

/** Loads the page anew when it is broken, and once a day while nobody is there. */
export class Watchman {
  #broken;
  #idle;
  #health;
  #failed = false;
  #brokenSince = null;
  #startedAt = performance.now();

  /** @param broken () => whether something cannot go on
   * @param idle () => whether nobody would notice
   * @param health an address that answers when the server does */
  constructor({ broken, idle, health }) {
    this.#broken = broken;
    this.#idle = idle;
    this.#health = health;
    setInterval(() => this.#look(), LOOK_MS);
    for (const type of ["error", "unhandledrejection"]) addEventListener(type, () => (this.#failed = true));
  }

  #look() {
    const now = performance.now();
    if (this.#failed || this.#broken()) this.#brokenSince ??= now;
    else this.#brokenSince = null;
    const broken = this.#brokenSince !== null && now - this.#brokenSince >= BROKEN_MS;
    const old = now - this.#startedAt >= MOST_AGE_MS && this.#idle();
    if (broken || old) this.#reload();
  }

  /** Not more than once a minute, and not while the server is away: then the page might not come
   * back. */
  async #reload() {
    const last = Number(sessionStorage.getItem(RELOADED_KEY) ?? 0);
    if (Date.now() - last < LEAST_BETWEEN_MS) return;
    try {
      const answer = await fetch(this.#health, { cache: "no-store" });
      if (!answer.ok) return;
    } catch {
      // The server is away.
      return;
    }
    sessionStorage.setItem(RELOADED_KEY, String(Date.now()));
    location.reload();
  }
}
