"""Child processes that answer in frames: the server's side, and what their programs share."""
