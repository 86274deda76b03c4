"""The plugins that come with tilores-core; each is found through its entry point, as a stranger's is."""
