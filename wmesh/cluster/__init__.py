"""What this process knows of each service, and who may take a request now. Pure: time comes in as a number.

`Directory` is the single write door; `Selection.acquire` is the single way to get an instance, for which it gives a
`Ticket`; `Member` is one instance's state. Nothing here chooses (that is `wmesh.balance`, handed in) or connects (that
is `wmesh.proxy`).
"""
