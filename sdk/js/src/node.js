/** The client for Node. Before version 22 it has no WebSocket of its own. */
import { open } from "./avatar.js";
import { NodeSocket } from "./node_socket.js";

export { ConnectionLost, FilmBroken, ServerError } from "./errors.js";

const Socket = globalThis.WebSocket ?? NodeSocket;

/** Open a session; see index.d.ts. */
export function connect(server, options = {}) {
  return open(server, { openSocket: (url) => new Socket(url), ...options });
}
