/** An element with an `id` goes on with its conversation when the page is loaded anew; any other
 * begins a new one. */
export function storageFor({ id, server }) {
  const kept = new Map();
  const memory = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
  if (!id) return memory;
  try {
    const { sessionStorage: tab } = window;
    const named = (key) => `${key} ${server} ${id}`;
    tab.getItem(named(""));
    return {
      getItem: (key) => tab.getItem(named(key)),
      setItem: (key, value) => tab.setItem(named(key), value),
      removeItem: (key) => tab.removeItem(named(key)),
    };
  } catch {
    // The browser keeps nothing for this page.
    return memory;
  }
}
