"""HTTP/1.1 rules on top of httptools: what llhttp leaves open is checked here, every head that leaves is made here.

Pure: bytes in, records and bytes out. `syntax` judges lines, `request` and `response` read and write heads, `fields`
knows the names that need thought, `forwarded` writes and believes X-Forwarded-*, `target` reads request targets,
`chunks` reads and writes chunks, `limits` says how much is too much. Framing is never copied: it is understood,
dropped, and written anew (RFC 9112 section 6).
"""
