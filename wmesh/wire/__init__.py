"""HTTP/1.1 rules on top of httptools: what llhttp leaves open is checked here, every head that leaves is made here.

Pure: bytes and tuples in, records and bytes out. `request` and `response` read and write heads, `fields` knows the
field names that need thought, `forwarded` writes and believes X-Forwarded-*, `target` reads request targets, `chunks`
writes chunks, `limits` says how much is too much. Framing is never copied: it is understood, dropped, and written anew
(RFC 9112 section 6).
"""
