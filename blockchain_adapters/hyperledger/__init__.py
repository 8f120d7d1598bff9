"""The ledger on a Hyperledger Fabric channel. Needs the extra `hyperledger`; nothing else of the product imports this package."""
