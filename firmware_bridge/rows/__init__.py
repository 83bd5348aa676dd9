"""From samples on somebody's clock to rows on ours: rates, grids, gaps."""
