"""A hostile client beside one honest viewer (results/abuse.json): `python -m bench.abuse`.

The honest viewer comes from 127.0.0.1, strangers from other addresses of the loopback: the
machine's own address is exempt from shares. Everything is bounded in count and in time.
"""
