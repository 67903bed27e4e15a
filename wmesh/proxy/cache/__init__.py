"""The cache in the data plane: who is answered from memory, who waits for whom, and what is kept on the way.

    exchange ─► Cache: look up, decide ──► hit: written at once, and that is all
                  │
                  └─► Crowd: everybody who wants the same ──► Fetch: one exchange with an instance ──► store
                                   ▲                              │
                              Reader: one client's exchange ◄─────┘ the answer, as it comes

A fetch belongs to no client: it has an exchange of its own, with all that an exchange can (retries, deadlines,
fallback), whose "client" records what comes and hands it to any number of readers. So a client that leaves takes
nothing with him, and an answer that is asked for behind the clients' backs goes the same way as any other. The
decisions are those of `wmesh.policy.caching`.
"""
