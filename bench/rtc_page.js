/**
 * Notes what goes over the WebSocket, which pictures of WebRTC are painted, and how far picture and
 * sound are apart. Loaded before the page's own scripts; `globalThis.way` says whether there is
 * WebRTC, and through which ports of a relay it goes.
 */
(() => {
  const { webrtc, from, to } = globalThis.way;
  const noted = { sent: [], received: [], frames: [], offsets: [], peer: null };
  globalThis.noted = noted;
  const wall = (now = performance.now()) => performance.timeOrigin + now;
  const note = (list, data) => {
    if (typeof data === "string") list.push({ ...JSON.parse(data), wall_ms: wall() });
  };

  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => note(noted.received, data));
    }
    send(data) {
      note(noted.sent, data);
      super.send(data);
    }
  };

  const watch = HTMLVideoElement.prototype.requestVideoFrameCallback;
  HTMLVideoElement.prototype.requestVideoFrameCallback = function (callback) {
    return watch.call(this, (now, metadata) => {
      const { rtpTimestamp: rtp, presentedFrames: presented, receiveTime } = metadata;
      if (this.srcObject) noted.frames.push({ wall_ms: wall(now), rtp, presented, recv: receiveTime ? wall(receiveTime) : null });
      callback(now, metadata);
    });
  };

  if (!webrtc) return void delete globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) {
      super(...given);
      noted.peer = this;
    }
    setRemoteDescription(answer) {
      if (to) answer.sdp = answer.sdp.replaceAll(` ${from} typ`, ` ${to} typ`);
      return super.setRemoteDescription(answer);
    }
  };
  noted.inbound = async () => {
    const reports = noted.peer ? [...(await noted.peer.getStats()).values()] : [];
    const inbound = reports.filter(({ type }) => type === "inbound-rtp");
    return Object.fromEntries(inbound.map((report) => [report.kind, report]));
  };
  setInterval(async () => {
    const { audio, video } = await noted.inbound();
    if (!audio?.estimatedPlayoutTimestamp || !video?.estimatedPlayoutTimestamp) return;
    const ms = video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp;
    noted.offsets.push({ wall_ms: wall(), ms });
  }, 200);
})();
