"""WebRTC: the same pictures and sound as single packets, for viewers whose
network lets them through."""
