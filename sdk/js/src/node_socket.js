/**
 * A WebSocket (RFC 6455) upon Node's own HTTP, as much of the browsers' interface as the
 * connection uses: for Node 20 and 21, which have none of their own.
 */
import { createHash, randomBytes } from "node:crypto";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
const BROKEN = 1006;
const PROTOCOL_ERROR = 1002;
/** The server may take this long to answer a close before the line is cut. */
const CLOSE_WITHIN_MS = 2_000;

export class NodeSocket {
  onopen = null;
  onmessage = null;
  onclose = null;
  binaryType = "arraybuffer";
  #stream = null;
  #request;
  #received = Buffer.alloc(0);
  #message = [];
  #kind = 0;
  #over = false;
  #code = BROKEN;

  constructor(address) {
    const url = new URL(address);
    const secure = url.protocol === "wss:";
    url.protocol = secure ? "https:" : "http:";
    const key = randomBytes(16).toString("base64");
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key,
    };
    this.#request = (secure ? requestHttps : requestHttp)(url, { headers });
    this.#request.on("upgrade", (response, stream, head) => {
      const expected = createHash("sha1").update(key + GUID).digest("base64");
      const ours = response.headers["sec-websocket-accept"] === expected;
      if (ours) this.#open(stream, head);
      else stream.destroy();
      if (!ours) this.#end();
    });
    this.#request.on("response", (response) => {
      response.destroy();
      this.#end();
    });
    this.#request.on("error", () => this.#end());
    this.#request.end();
  }

  get bufferedAmount() {
    return this.#stream?.writableLength ?? 0;
  }

  send(data) {
    if (typeof data === "string") this.#write(TEXT, Buffer.from(data));
    else if (ArrayBuffer.isView(data)) {
      this.#write(BINARY, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    } else this.#write(BINARY, Buffer.from(data));
  }

  close(code = 1000) {
    if (!this.#stream) {
      this.#request.destroy();
      return this.#end();
    }
    this.#sayGoodbye(code);
  }

  #open(stream, head) {
    this.#stream = stream;
    stream.setNoDelay(true);
    stream.on("data", (data) => this.#take(data));
    stream.on("error", () => this.#end());
    stream.on("close", () => this.#end());
    this.onopen?.({});
    if (head.length) this.#take(head);
  }

  #take(data) {
    this.#received = this.#received.length ? Buffer.concat([this.#received, data]) : data;
    for (let frame = this.#frame(); frame; frame = this.#frame()) this.#handle(frame);
  }

  /** The next whole frame, taken off what was received; servers do not mask. */
  #frame() {
    const bytes = this.#received;
    if (bytes.length < 2) return null;
    let [length, begin] = [bytes[1] & 0x7f, 2];
    if (length === 126) [length, begin] = [bytes.length < 4 ? NaN : bytes.readUInt16BE(2), 4];
    else if (length === 127) {
      [length, begin] = [bytes.length < 10 ? NaN : Number(bytes.readBigUInt64BE(2)), 10];
    }
    if (!(bytes.length >= begin + length)) return null;
    this.#received = bytes.subarray(begin + length);
    const payload = bytes.subarray(begin, begin + length);
    return { last: Boolean(bytes[0] & 0x80), kind: bytes[0] & 0x0f, payload };
  }

  #handle({ last, kind, payload }) {
    if (kind === PING) return this.#write(PONG, payload);
    if (kind === PONG) return;
    if (kind === CLOSE) {
      this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      return this.#sayGoodbye(this.#code === 1005 ? 1000 : this.#code);
    }
    if (![CONTINUATION, TEXT, BINARY].includes(kind)) return this.#sayGoodbye(PROTOCOL_ERROR);
    if (kind !== CONTINUATION) this.#kind = kind;
    this.#message.push(payload);
    if (!last) return;
    const whole = Buffer.concat(this.#message);
    this.#message = [];
    const data = this.#kind === TEXT ? whole.toString("utf8") : new Uint8Array(whole).buffer;
    this.onmessage?.({ data });
  }

  #write(kind, payload) {
    if (!this.#stream || this.#stream.writableEnded) return;
    const mask = randomBytes(4);
    const masked = Buffer.alloc(payload.length);
    for (let at = 0; at < payload.length; at += 1) masked[at] = payload[at] ^ mask[at & 3];
    this.#stream.write(Buffer.concat([head(kind, payload.length), mask, masked]));
  }

  #sayGoodbye(code) {
    if (this.#stream.writableEnded) return;
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    this.#write(CLOSE, body);
    this.#stream.end();
    const timer = setTimeout(() => this.#stream.destroy(), CLOSE_WITHIN_MS);
    this.#stream.once("close", () => clearTimeout(timer));
  }

  #end() {
    if (this.#over) return;
    this.#over = true;
    this.onclose?.({ code: this.#code });
  }
}

/** The first bytes of a masked frame. */
function head(kind, length) {
  if (length < 126) return Buffer.from([0x80 | kind, 0x80 | length]);
  const long = length > 0xffff;
  const bytes = Buffer.alloc(long ? 10 : 4);
  bytes[0] = 0x80 | kind;
  bytes[1] = 0x80 | (long ? 127 : 126);
  if (long) bytes.writeBigUInt64BE(BigInt(length), 2);
  else bytes.writeUInt16BE(length, 2);
  return bytes;
}
