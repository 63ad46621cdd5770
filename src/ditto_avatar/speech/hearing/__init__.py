"""Understanding the microphone on this machine, with Whisper in a process of its own."""
