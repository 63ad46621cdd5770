/** The client for browsers, and for whatever else has a WebSocket. */
import { open } from "./avatar.js";

export { ConnectionLost, FilmBroken, ServerError } from "./errors.js";

/** Open a session; see index.d.ts. */
export function connect(server, options = {}) {
  return open(server, { openSocket: (url) => new WebSocket(url), ...options });
}
