"""The standard workflow of TAO's networks: what there is to train, and what a training needs."""
