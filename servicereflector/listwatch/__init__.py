"""List and watch: how a store is kept equal to what an API serves."""
