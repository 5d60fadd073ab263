"""download: bring in the data set, checked.

Reads  nothing but its mirrors (or, for `synthetic`, nothing at all)
Writes data/download/train_images.npy, train_labels.npy, test_images.npy, test_labels.npy, classes.json
"""
