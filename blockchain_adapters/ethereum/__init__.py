"""The ledger on an Ethereum chain. Needs the extra `ethereum`; nothing else of the product imports this package."""
