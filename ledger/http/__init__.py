"""What a master and a node both serve over HTTPS: the log, the feed, the state, tokens, health; see docs/http-api.md."""
