/** What a tab remembers, also where the browser lets it remember nothing. */

const TAB_KEY = "ditto-avatar.tab";
const SESSION_KEY = "ditto-avatar.session";
// A page that is loaded anew may meet its former self for a moment.
const FORMER_PAGE_MS = 500;

/** `sessionStorage`, or a place that lasts as long as the page where storage is blocked or full. */
export function tabStorage(open = () => window.sessionStorage) {
  const kept = new Map();
  let storage = null;
  try {
    storage = open();
    storage?.getItem(SESSION_KEY);
  } catch {
    storage = null;
  }
  return {
    getItem(key) {
      return kept.get(key) ?? storage?.getItem(key) ?? null;
    },
    setItem(key, value) {
      try {
        if (!storage) throw new Error("no storage");
        storage.setItem(key, value);
        kept.delete(key);
      } catch {
        kept.set(key, value);
      }
    },
    removeItem(key) {
      kept.delete(key);
      storage?.removeItem(key);
    },
  };
}

/**
 * A tab that was duplicated has a copy of the other's storage: it forgets the conversation, which
 * stays the first tab's. Each tab holds a lock with a name of its own; where there are no locks
 * (a page without TLS) both tabs show the same conversation, as before.
 */
export async function ownConversation(storage, locks = navigator.locks) {
  if (!locks) return;
  const name = storage.getItem(TAB_KEY);
  if (name && (await hold(locks, name))) return;
  if (name) storage.removeItem(SESSION_KEY);
  const own = `${TAB_KEY}.${Math.random().toString(36).slice(2)}${Date.now().toString(36)}`;
  storage.setItem(TAB_KEY, own);
  await hold(locks, own);
}

/** Whether the lock could be had; it is kept until the page goes. */
function hold(locks, name) {
  return new Promise((resolve) => {
    const waiting = new AbortController();
    const timer = setTimeout(() => waiting.abort(), FORMER_PAGE_MS);
    locks
      .request(name, { signal: waiting.signal }, () => {
        clearTimeout(timer);
        resolve(true);
        return new Promise(() => {});
      })
      .catch(() => resolve(false));
  });
}
