"""The master: the service that admits, orders and proves the policies of one network."""
