"""The admin side: what operators ask the mesh, and tell it, over HTTP and in JSON.

A twisted.web site of its own, on its own listener; on the public port it is just another service that routes lead to.
It is handed a `wmesh.interfaces.Controls` and knows nothing else of the mesh: nothing here decides, and nothing here
is on the way of a client's request. Start reading at `site`.
"""
