/** How a conversation fails. index.d.ts says when. */

export class ServerError extends Error {
  name = "ServerError";

  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

export class ConnectionLost extends Error {
  name = "ConnectionLost";

  constructor(message, code = null) {
    super(message);
    this.code = code;
  }
}

export class FilmBroken extends Error {
  name = "FilmBroken";
}
