/** Addresses that a server names, read against its own. */

/** Where the WebSocket of the server at `server` is. */
export function socketUrl(server) {
  const url = new URL("ws", server);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url.href;
}

/** A message with every `…_url` read against the address `server`. */
export function withAddresses(value, server) {
  if (Array.isArray(value)) return value.map((item) => withAddresses(item, server));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) =>
      name.endsWith("_url") && typeof inner === "string"
        ? [name, new URL(inner, server).href]
        : [name, withAddresses(inner, server)],
    ),
  );
}
