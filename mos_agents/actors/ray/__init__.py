"""Everything of the actors that imports Ray: clusters, workers, shards, environment servers."""
