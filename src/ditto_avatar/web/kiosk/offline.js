/** Keeps the kiosk page for a time without a network: a page that is loaded anew then is there all
 * the same, and waits for the server. Everything is asked for at the server first. */
const KEPT = "ditto-avatar.kiosk";
const WITHIN_MS = 5_000;

// The page, and what loads it anew while a part of it is missing.
const FIRST = ["./?kiosk", "static/kiosk/guard.js"];

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

addEventListener("fetch", (event) => {
  if (belongsToTheKiosk(event.request)) event.respondWith(fetched(event.request));
});

async function install() {
  await (await caches.open(KEPT)).addAll(FIRST.map((path) => new URL(path, self.location)));
  await self.skipWaiting();
}

function belongsToTheKiosk({ method, url }) {
  const { origin, pathname, searchParams } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin) return false;
  const below = pathname.slice(new URL(self.registration.scope).pathname.length);
  return below === "" ? searchParams.has("kiosk") : /^(static\/|api\/kiosk$|avatars\/[^/]+\/poster)/.test(below);
}

async function fetched(request) {
  const cache = await caches.open(KEPT);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(WITHIN_MS) });
    if (answer.status === 200) await cache.put(request, answer.clone());
    if (answer.status < 500) return answer;
    return (await keptFor(cache, request)) ?? answer;
  } catch (error) {
    const kept = await keptFor(cache, request);
    if (kept) return kept;
    throw error;
  }
}

/** The page is the same, whatever its address asks of its script; and nothing kept here depends on
 * the headers that the server names in `Vary`. */
function keptFor(cache, request) {
  return cache.match(request, { ignoreSearch: request.mode === "navigate", ignoreVary: true });
}
