"""Who is who: key files, tokens, principals and their scopes, certificates, TLS, join tokens."""
