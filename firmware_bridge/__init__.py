"""From a chip on a bus to windows of physical units on a uniform grid."""
