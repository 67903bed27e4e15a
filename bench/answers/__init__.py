"""What clients see of bad answers, behind wmesh and behind its peers: `python -m bench.answers`.

Strategy: two instances stand behind a proxy that is set up as its own manual advises for instances that fail
(`settings`), and one of them answers in one of the bad ways of `faults`. `play` asks, and counts what came of it,
`report` prints. Breakers, ejection and checks are off: what is compared is each single request. What proxies do about
an instance that goes on failing is the matter of `bench.faults`.
"""
