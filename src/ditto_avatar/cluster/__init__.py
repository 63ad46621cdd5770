"""Draw at workers: processes that own a face engine, on this machine or on others."""
