"""The api on 8644: thin; each handler makes one typed request to the owning service. Same recorder as the proxy, strict."""
